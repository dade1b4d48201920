//! `keygen` and `rotate`.

use std::io;

use serde_json::{Value, json};
use session_core::{OsRandom, Random as _, Secret};

use crate::arguments::Rotate;
use crate::failure::Failure;
use crate::output::{Answer, fields, long};
use crate::sources::{SECRET, optional_secrets};

/// The secret alone goes to stdout, so that it can go straight to where it is kept.
pub(crate) fn keygen() -> Result<Answer, Failure> {
    let mut bytes = [0; Secret::MINIMUM];
    OsRandom.fill(&mut bytes).map_err(|error| Failure::Machine(io::Error::other(error)))?;
    let secret: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let how = format!(
        "This is a new secret, and it is shown nowhere else. Give it to every process of the application as the variable {SECRET},
by the means that you keep passwords with (a file that only the service can read, a secret of your orchestrator), for example:

  install -m 600 /dev/null session.env && printf '{SECRET}=%s\\n' \"$(sessionctl keygen 2>/dev/null)\" > session.env

Never put it into a repository, an image or a command line. `sessionctl rotate` says how to replace one that is in use."
    );
    Ok(Answer::new(secret.clone(), json!({ "secret": secret, "variable": SECRET })).note(how))
}

struct Step {
    what: &'static str,
    ring: &'static str,
    why: String,
}

/// Which secrets there are by their public names, and what to do.
pub(crate) fn rotate(arguments: &Rotate) -> Result<Answer, Failure> {
    let ids = optional_secrets(&arguments.secret)?.map(|ring| ring.key_ids()).unwrap_or_default();
    let wait = long(arguments.longest_life);
    let steps = steps(&wait);
    let mut people = match ids.len() {
        0 => format!("No secret is set here ({SECRET}), so this is what to do with the ones of your application.\n"),
        1 => format!("The ring has one secret, so no rotation is under way.\n\n{}\n", ring(&ids)),
        _ => format!(
            "The ring has {} secrets: a rotation is under way, at step 1 if the first one is the old secret, at step 2 otherwise.\n\n{}\n",
            ids.len(),
            ring(&ids)
        ),
    };
    people.push_str("\nTo rotate, so that nobody is logged out:\n");
    for (place, step) in steps.iter().enumerate() {
        people.push_str(&format!("\n{}. {}\n     {SECRET}={}\n   {}\n", place + 1, step.what, step.ring, step.why));
    }
    people.push_str(
        "\nIf a secret became known to somebody: make a new one the only one at once. All cookies under the old one are worth nothing
from then on, which logs everybody out, and has to: where sessions are in cookies, its finder can make one of anybody.",
    );
    let keys: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(place, id)| json!({ "key": id.to_string(), "place": place, "current": place == 0 }))
        .collect();
    let steps: Vec<Value> =
        steps.into_iter().map(|step| json!({ "what": step.what, "ring": step.ring, "why": step.why })).collect();
    Ok(Answer::new(people, json!({ "keys": keys, "steps": steps, "wait_seconds": arguments.longest_life })))
}

fn steps(wait: &str) -> [Step; 3] {
    [
        Step {
            what: "Make a secret with `sessionctl keygen`, and put it behind the one that is in use, at every process.",
            ring: "OLD,NEW",
            why: "Each process accepts it now, and none makes anything with it yet.".to_owned(),
        },
        Step {
            what: "When all of them run with both, make the new one the first, at every process.",
            ring: "NEW,OLD",
            why: "New cookies are made under it; one under the old secret is made anew when its visitor comes."
                .to_owned(),
        },
        Step {
            what: "When the longest life of a session has passed, drop the old one.",
            ring: "NEW",
            why: format!(
                "That is {wait} after step 2, unless --longest-life says otherwise: `lifetime`, or what `remember` may ask for."
            ),
        },
    ]
}

fn ring(ids: &[session_core::KeyId]) -> String {
    let line = |(place, id): (usize, &session_core::KeyId)| {
        let role = if place == 0 { "current: makes cookies, and opens them" } else { "retired: opens cookies only" };
        (format!("key {id}"), role.to_owned())
    };
    fields(ids.iter().enumerate().map(line))
}
