//! Where secrets and cookies come from: never from the command line, if it can be helped.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _};
use std::{env, fs};

use session_core::KeyRing;

use crate::arguments::{Inspect, Secret, Store};
use crate::failure::Failure;

/// The variable that applications read their secrets from by custom.
pub(crate) const SECRET: &str = "SESSION_SECRET";
/// More than any ring or any header: nobody means a whole disk.
const LONGEST: u64 = 1 << 20;

/// The application's secrets.
pub(crate) fn secrets(from: &Secret) -> Result<KeyRing, Failure> {
    optional_secrets(from)?.ok_or_else(|| {
        Failure::Usage(format!(
            "there is no secret: set {SECRET}, name another variable with --secret-env, or a file with --secret-file (- is stdin)"
        ))
    })
}

/// The same where one can do without.
pub(crate) fn optional_secrets(from: &Secret) -> Result<Option<KeyRing>, Failure> {
    match (&from.secret_env, &from.secret_file) {
        (None, None) if env::var_os(SECRET).is_none() => Ok(None),
        (Some(variable), _) => Ok(Some(KeyRing::from_env(variable)?)),
        (None, Some(file)) => ring("the secret", file).map(Some),
        (None, None) => Ok(Some(KeyRing::from_env(SECRET)?)),
    }
}

/// The secrets of a store that keeps its sessions encrypted.
pub(crate) fn store_secrets(from: &Store) -> Result<Option<KeyRing>, Failure> {
    match (&from.store_secret_env, &from.store_secret_file) {
        (Some(variable), _) => Ok(Some(KeyRing::from_env(variable)?)),
        (None, Some(file)) => ring("the store's secret", file).map(Some),
        (None, None) => Ok(None),
    }
}

/// The text that is to be inspected, and whether everybody could see it on the way.
pub(crate) fn cookie(from: &Inspect) -> Result<(String, bool), Failure> {
    if let Some(cookie) = from.cookie.as_ref().filter(|cookie| *cookie != "-") {
        return Ok((cookie.clone(), true));
    }
    let text = match (&from.cookie_env, &from.cookie_file) {
        (Some(variable), _) => env::var(variable).map_err(|_| {
            Failure::Usage(format!("the variable {variable}, which should have the cookie, is not set"))
        })?,
        (None, Some(file)) => read("the cookie", file)?,
        (None, None) => read("the cookie", "-")?,
    };
    Ok((text, false))
}

/// Two things can't both come from stdin.
pub(crate) fn one_from_stdin(from: &Inspect) -> Result<(), Failure> {
    let cookie = match (&from.cookie, &from.cookie_env, &from.cookie_file) {
        (Some(cookie), _, _) => cookie == "-",
        (None, Some(_), _) => false,
        (None, None, file) => file.as_deref().is_none_or(|file| file == "-"),
    };
    let others = [&from.secret.secret_file, &from.store.store_secret_file];
    let others = others.iter().filter(|file| file.as_deref() == Some("-")).count();
    if usize::from(cookie) + others > 1 {
        return Err(Failure::Usage(
            "two things can't both come from stdin: leave the secret in a variable or a file, and pipe the cookie in"
                .to_owned(),
        ));
    }
    Ok(())
}

fn ring(what: &'static str, file: &str) -> Result<KeyRing, Failure> {
    Ok(KeyRing::parse(&read(what, file)?)?)
}

/// What a file has, or what somebody types or pipes in.
fn read(what: &'static str, file: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let outcome = if file != "-" {
        fs::File::open(file).and_then(|file| file.take(LONGEST).read_to_string(&mut text))
    } else if io::stdin().is_terminal() {
        eprintln!("paste {what}, then Enter:");
        io::stdin().lock().take(LONGEST).read_line(&mut text)
    } else {
        io::stdin().lock().take(LONGEST).read_to_string(&mut text)
    };
    let source_name = if file == "-" { "stdin".to_owned() } else { format!("the file {file}") };
    outcome.map_err(|source| Failure::Source { what, source_name, source })?;
    Ok(text)
}
