//! `list`, `show`, `end` and `end-all`.

use std::time::Duration;

use serde_json::{Value, json};
use session_core::{Handle, Inspector, KeyRing, Loaded, Revocation, Secret, SessionManager, StoreKey};

use crate::arguments::{self, End, EndAll, List, Show};
use crate::failure::{Exit, Failure};
use crate::output::{Answer, fields, number, table};
use crate::progress::Progress;
use crate::session::{Session, Values};
use crate::sources::optional_secrets;
use crate::store::Store;

const SEALED: &str = "Its content is encrypted: give --store-secret-env or --store-secret-file to see it.";

pub(crate) async fn list(arguments: &List) -> Result<Answer, Failure> {
    let inspector = inspector(&arguments.secret)?;
    let store = Store::connect(&arguments.store).await?;
    let found = store.sessions.sessions_of(&arguments.subject, arguments.most).await?;
    let shown = |(key, loaded): &(StoreKey, Loaded)| {
        let session = session(*key, loaded, inspector.as_ref());
        (session.line(), Value::Object(session.json(Values::Hidden)))
    };
    let (mut lines, sessions): (Vec<_>, Vec<_>) = found.iter().map(shown).unzip();
    let count = sessions.len();
    let programs = json!({ "subject": arguments.subject, "sessions": sessions });
    if count == 0 {
        let hint = if store.is_encrypted {
            "No live session of this subject."
        } else {
            "No live session of this subject. If the application keeps its sessions encrypted, give --store-secret-env."
        };
        return Ok(Answer::new(hint, programs).code(Exit::NothingThere));
    }
    let mut head = vec!["HANDLE", "ISSUED", "LAST USED", "EXPIRES", "LABEL", "IN LOGS"];
    if inspector.is_none() {
        head.pop();
        lines.iter_mut().for_each(|line| drop(line.pop()));
    }
    let answer = Answer::new(table(&head, lines), programs);
    Ok(if count == arguments.most {
        answer.note(format!("These are {}, and there may be more: see --most.", number(count as u64)))
    } else {
        answer
    })
}

pub(crate) async fn show(arguments: &Show) -> Result<Answer, Failure> {
    let handle: Handle = arguments.handle.parse()?;
    let inspector = inspector(&arguments.secret)?;
    let store = Store::connect(&arguments.store).await?;
    let key = StoreKey::from(handle);
    let loaded = store.sessions.load(&key).await?.ok_or(Failure::NotThere(
        "there is no live session with this handle: it has ended or expired, or was renewed and has another one now",
    ))?;
    let session = session(key, &loaded, inspector.as_ref());
    let values = Values::hidden(arguments.hide_values);
    let mut programs = session.json(values);
    programs.insert("version".to_owned(), loaded.version.as_u64().into());
    let answer = Answer::new(fields(session.fields(values)), Value::Object(programs));
    Ok(if session.is_sealed() { answer.note(SEALED) } else { answer })
}

pub(crate) async fn end(arguments: &End) -> Result<Answer, Failure> {
    // All are read before the first is ended.
    let handles = arguments.handles.iter().map(|handle| handle.parse()).collect::<Result<Vec<Handle>, _>>()?;
    let store = Store::connect(&arguments.store).await?;
    let (mut progress, mut ended, mut outcomes) = (Progress::new(), 0, Vec::new());
    for (done, handle) in handles.iter().enumerate() {
        progress.tell(|| format!("{done} of {} done", handles.len()));
        let was_alive = store.sessions.delete(&StoreKey::from(*handle)).await?;
        ended += usize::from(was_alive);
        outcomes.push((handle.to_string(), was_alive));
    }
    drop(progress);
    let missing = handles.len() - ended;
    let line = |(handle, ended): &(String, bool)| {
        (handle.clone(), if *ended { "ended" } else { "not there: it had ended or expired before" }.to_owned())
    };
    let people = fields(outcomes.iter().map(line));
    let outcomes: Vec<_> =
        outcomes.into_iter().map(|(handle, ended)| json!({ "handle": handle, "ended": ended })).collect();
    let answer = Answer::new(people, json!({ "ended": ended, "not_there": missing, "sessions": outcomes }));
    Ok(if missing > 0 { answer.code(Exit::NothingThere) } else { answer })
}

pub(crate) async fn end_all(arguments: &EndAll) -> Result<Answer, Failure> {
    let store = Store::connect(&arguments.store).await?;
    let subject = &arguments.subject;
    if arguments.in_cookies {
        // The manager knows how revocations are written, and needs no secret of the application for it.
        let longest = Duration::from_secs(arguments.longest_life);
        let manager = SessionManager::sealed(KeyRing::new(Secret::random()?), Revocation::kept_in(store.sessions))
            .lifetime(longest)
            .remember_at_most(longest)
            .build()?;
        manager.end_all(subject).await?;
        let people = format!("All sessions of {subject} that were made before now are revoked.");
        return Ok(Answer::new(people, json!({ "subject": subject, "revoked": true })).note(
            "Applications see this only if they keep their revocations in this store. How many sessions it was nobody knows.",
        ));
    }
    let ended = store.sessions.delete_all_of(subject, None).await?;
    let people = match ended {
        0 => format!("{subject} has no live session here, so none was ended."),
        1 => format!("1 session of {subject} is ended."),
        _ => format!("{} sessions of {subject} are ended.", number(ended as u64)),
    };
    let answer = Answer::new(people, json!({ "subject": subject, "ended": ended }));
    Ok(if ended == 0 { answer.code(Exit::NothingThere) } else { answer })
}

fn session<'a>(key: StoreKey, loaded: &'a Loaded, inspector: Option<&Inspector>) -> Session<'a> {
    let handle = Handle::from(key);
    let fingerprint = inspector.map(|inspector| inspector.fingerprint(&handle));
    Session { handle, fingerprint, record: &loaded.record, times: loaded.times, now: loaded.now }
}

/// With the application's secret it can be said what logs call a session.
fn inspector(secret: &arguments::Secret) -> Result<Option<Inspector>, Failure> {
    Ok(optional_secrets(secret)?.map(|ring| Inspector::new(&ring, "", "")))
}
