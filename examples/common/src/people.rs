//! Who can log in, and with what.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, process};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use session_core::{Error, StoreError};
use tokio::fs;
use tokio::task::spawn_blocking;

/// In characters. NIST SP 800-63B asks for no less than eight.
pub(crate) const SHORTEST_PASSWORD: usize = 8;
/// Hashing takes the longer the longer the password is, so there has to be an end.
pub(crate) const LONGEST_PASSWORD: usize = 100;

/// Somebody who is there from the beginning. The password stands on the login page, since this is a demo; the hash of it
/// is what a database of users has.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) password: &'static str,
    hash: &'static str,
}

/// The hashes are those of `Argon2::default()`: Argon2id with 19 MiB and two passes, as OWASP's cheat sheet on password
/// storage recommends.
pub(crate) static PEOPLE: [Person; 2] = [
    Person {
        name: "ada",
        password: "engine",
        hash: "$argon2id$v=19$m=19456,t=2,p=1$Nxd7Fj2eSX0gl413ZwSY8Q$drnBmUE0aTy5Zcxe3FBGmaRjgWIQ15OEqcQI7gtN8jM",
    },
    Person {
        name: "grace",
        password: "compiler",
        hash: "$argon2id$v=19$m=19456,t=2,p=1$zkRLL7/3D7MrPxcSmxF7ow$kXvN9cN7l+zmjLWjwHF51URGEGmGm+DVM9fgkvQ1zOU",
    },
];

/// The people and the hashes of their passwords: what is a table of the database in your application.
#[derive(Clone, Debug)]
pub struct People(Arc<Changed>);

/// The hashes of passwords that aren't those of the beginning any more.
enum Changed {
    InMemory(Mutex<BTreeMap<&'static str, String>>),
    /// One for each person, in this directory, which all programs that run here share.
    InFiles,
}

impl People {
    pub(crate) fn in_memory() -> Self {
        Self(Arc::new(Changed::InMemory(Mutex::default())))
    }

    pub(crate) fn in_files() -> Self {
        Self(Arc::new(Changed::InFiles))
    }

    /// The hash of this person's password as it is now, for
    /// [`require_stamp`](session_core::Session::require_stamp); an empty text, which no login was stamped with, for somebody
    /// who isn't there.
    ///
    /// # Errors
    /// [`Error::Store`] if it can't be read.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
    /// let (demo, _) = example_common::visit();
    /// assert!(demo.people().hash("ada").await?.starts_with("$argon2id$"));
    /// assert_eq!(demo.people().hash("nobody").await?, "");
    /// # Ok::<(), session_core::Error>(()) }).expect("people");
    /// ```
    pub async fn hash(&self, name: &str) -> Result<String, Error> {
        let Some(person) = find(name) else { return Ok(String::new()) };
        Ok(self.changed(person).await?.unwrap_or_else(|| person.hash.to_owned()))
    }

    /// The hash of this person's password if this is the password. Whether the name or the password was wrong, it
    /// doesn't say, nor does the time it takes.
    ///
    /// # Errors
    /// As [`People::hash`].
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
    /// let (demo, _) = example_common::visit();
    /// assert!(demo.people().verify("ada", "engine").await?.is_some());
    /// assert_eq!(demo.people().verify("ada", "compiler").await?, None);
    /// assert_eq!(demo.people().verify("nobody", "engine").await?, None);
    /// # Ok::<(), session_core::Error>(()) }).expect("people");
    /// ```
    pub async fn verify(&self, name: &str, password: &str) -> Result<Option<String>, Error> {
        let hash = self.hash(name).await?;
        let password = password.to_owned();
        // It takes a good while, on purpose, and nobody else should wait for it.
        let verifying = spawn_blocking(move || {
            let against = if hash.is_empty() { PEOPLE[0].hash } else { &hash };
            let right = PasswordHash::new(against)
                .is_ok_and(|against| Argon2::default().verify_password(password.as_bytes(), &against).is_ok());
            (right && !hash.is_empty()).then_some(hash)
        });
        verifying.await.map_err(|error| failed("verifying a password", error))
    }

    /// Gives this person another password, and says its hash.
    ///
    /// # Errors
    /// [`Error::Store`] if it can't be written, or there is no such person.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(async {
    /// let (demo, _) = example_common::visit();
    /// let hash = demo.people().change("ada", "analytical").await?;
    /// assert_eq!(demo.people().verify("ada", "analytical").await?, Some(hash));
    /// assert_eq!(demo.people().verify("ada", "engine").await?, None);
    /// # Ok::<(), session_core::Error>(()) }).expect("people");
    /// ```
    pub async fn change(&self, name: &str, password: &str) -> Result<String, Error> {
        let person = find(name).ok_or_else(|| failed("changing a password", "there is no such person"))?;
        let password = password.to_owned();
        let hashing = spawn_blocking(move || Argon2::default().hash_password(password.as_bytes()));
        let hash = hashing.await.map_err(|error| failed("hashing a password", error))?;
        let hash = hash.map_err(|error| failed("hashing a password", error))?.to_string();
        match &*self.0 {
            Changed::InMemory(changed) => {
                changed.lock().unwrap_or_else(PoisonError::into_inner).insert(person.name, hash.clone());
            }
            Changed::InFiles => {
                write(&person.file(), &hash).await.map_err(|error| failed("writing a password's hash", error))?;
            }
        }
        Ok(hash)
    }

    /// Whether this person's password is still that of the beginning.
    pub(crate) async fn is_first(&self, person: &Person) -> Result<bool, Error> {
        Ok(self.changed(person).await?.is_none())
    }

    async fn changed(&self, person: &Person) -> Result<Option<String>, Error> {
        match &*self.0 {
            Changed::InMemory(changed) => {
                Ok(changed.lock().unwrap_or_else(PoisonError::into_inner).get(person.name).cloned())
            }
            Changed::InFiles => match fs::read_to_string(person.file()).await {
                Ok(hash) => Ok(Some(hash)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(failed("reading a password's hash", error)),
            },
        }
    }
}

fn find(name: &str) -> Option<&'static Person> {
    PEOPLE.iter().find(|person| person.name == name)
}

impl Person {
    /// Where a new password's hash is kept.
    fn file(&self) -> String {
        format!("{}.password", self.name)
    }
}

/// Whoever reads meanwhile finds the whole old hash or the whole new one.
async fn write(file: &str, hash: &str) -> io::Result<()> {
    let beside = format!("{file}.{}", process::id());
    fs::write(&beside, hash).await?;
    fs::rename(&beside, file).await
}

/// Users are kept in a store too, and a store that fails is a 503.
fn failed(doing: &'static str, error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    StoreError::new(doing, error).into()
}

impl fmt::Debug for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InMemory(_) => "InMemory",
            Self::InFiles => "InFiles",
        })
    }
}

/// Why this can't be somebody's new password, as a sentence for them; nothing if it can.
///
/// ```
/// assert_eq!(example_common::unfit("correct horse"), None);
/// assert!(example_common::unfit("horse").is_some());
/// ```
#[must_use]
pub fn unfit(password: &str) -> Option<String> {
    match password.chars().count() {
        length if length < SHORTEST_PASSWORD => {
            Some(format!("A new password has at least {SHORTEST_PASSWORD} characters."))
        }
        length if length > LONGEST_PASSWORD => {
            Some(format!("A new password has at most {LONGEST_PASSWORD} characters."))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_are_of_the_passwords_that_the_login_page_shows() {
        for person in &PEOPLE {
            let hash = PasswordHash::new(person.hash).unwrap();
            assert!(Argon2::default().verify_password(person.password.as_bytes(), &hash).is_ok(), "{}", person.name);
        }
    }
}
