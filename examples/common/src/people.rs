//! Who can log in.

/// Somebody with a password. It stands here, and on the login page, in clear: this is a demo. Your application keeps
/// a hash of it, made by Argon2 or its like.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) password: &'static str,
}

pub(crate) const PEOPLE: [Person; 2] =
    [Person { name: "ada", password: "engine" }, Person { name: "grace", password: "compiler" }];

/// Whether this is the password of the person of that name.
///
/// ```
/// assert!(example_common::is_right("ada", "engine"));
/// assert!(!example_common::is_right("ada", "compiler"));
/// ```
#[must_use]
pub fn is_right(name: &str, password: &str) -> bool {
    PEOPLE.iter().any(|person| person.name == name && person.password == password)
}
