//! `inspect`.

use std::env;

use serde_json::{Map, Value, json};
use session_core::{
    Clock as _, Inspected, Inspector, KeyRing, Loaded, Purpose, Refused, StoreKey, SystemClock, Timestamp, Validity,
};

use crate::arguments::Inspect;
use crate::failure::{Exit, Failure};
use crate::output::{Answer, fields};
use crate::session::{Session, Values};
use crate::sources::{cookie, one_from_stdin, secrets};
use crate::store::Store;

const COOKIE_NAME: &str = "__Host-id";

pub(crate) async fn inspect(arguments: &Inspect) -> Result<Answer, Failure> {
    one_from_stdin(arguments)?;
    let ring = secrets(&arguments.secret)?;
    let store = Store::connect_if_named(&arguments.store).await?;
    let (text, was_visible) = cookie(arguments)?;
    let from_env = |given: &Option<String>, variable| given.clone().or_else(|| env::var(variable).ok());
    let name = from_env(&arguments.cookie_name, "SESSION_COOKIE_NAME").unwrap_or_else(|| COOKIE_NAME.to_owned());
    let application = from_env(&arguments.application, "SESSION_APPLICATION").unwrap_or_default();
    let asked = Asked { ring, application, name };

    let inspector = asked.inspector(&asked.application, &asked.name);
    let header = without_its_name(&text);
    let cookies = if header.contains('=') { inspector.inspect_header(header) } else { vec![inspector.inspect(header)] };
    let mut reports = Vec::new();
    for cookie in &cookies {
        reports.push(match cookie {
            Ok(inspected) => authentic(inspected, asked.ring.key_ids().len(), store.as_ref()).await?,
            Err(refused) => Report::refused(*refused, asked.hint(*refused, header)),
        });
    }
    if reports.is_empty() {
        reports.push(Report::no_cookie(&asked.name, header));
    }
    Ok(answer(&reports, Values::hidden(arguments.hide_values), was_visible))
}

/// The header's value, also if the whole line was copied.
fn without_its_name(text: &str) -> &str {
    let text = text.trim();
    let (name, value) = text.split_once(':').unwrap_or(("", text));
    let is_header = ["cookie", "set-cookie"].iter().any(|header| name.eq_ignore_ascii_case(header));
    if is_header { value.trim() } else { text }
}

/// Whose cookie it should be.
struct Asked {
    ring: KeyRing,
    application: String,
    name: String,
}

impl Asked {
    fn inspector(&self, application: &str, name: &str) -> Inspector {
        Inspector::new(&self.ring, application, name)
    }

    /// What to try next, where something can be tried here.
    fn hint(&self, refused: Refused, header: &str) -> Option<String> {
        match refused {
            Refused::NotAuthentic { .. } => Some(self.where_it_opens(header).unwrap_or_else(|| {
                format!(
                    "it was looked at as the cookie {} of {}; if they are others, say so with --cookie-name and --application",
                    self.name,
                    shown(&self.application)
                )
            })),
            Refused::UnknownKey { .. } => {
                let ids: Vec<_> = self.ring.key_ids().iter().map(ToString::to_string).collect();
                Some(format!("the ring here has {}", ids.join(", ")))
            }
            _ => None,
        }
    }

    /// The name or the application that was forgotten.
    fn where_it_opens(&self, header: &str) -> Option<String> {
        let value = |name: &str| header.split(';').find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='));
        let value = if header.contains('=') { value(&self.name)? } else { header };
        let applications = [self.application.as_str(), ""];
        let names = [self.name.as_str(), COOKIE_NAME, "id"];
        let all = applications.iter().flat_map(|application| names.iter().map(move |name| (*application, *name)));
        let opens = |(application, name): &(&str, &str)| self.inspector(application, name).inspect(value).is_ok();
        let (application, name) = all.into_iter().find(opens)?;
        Some(format!("it is authentic as the cookie {name} of {}: is that the one?", shown(application)))
    }
}

fn shown(application: &str) -> String {
    if application.is_empty() {
        "an application without a name".to_owned()
    } else {
        format!("the application {application}")
    }
}

/// What is known of one cookie.
struct Report {
    state: &'static str,
    means: String,
    hint: Option<String>,
    /// What it carries, and which secret made it.
    head: Vec<(&'static str, String)>,
    cookie: Map<String, Value>,
    session: Option<Box<Found>>,
    exit: Exit,
}

/// A session, from the cookie or from the store.
struct Found {
    inspected: Inspected,
    loaded: Option<Loaded>,
    now: Timestamp,
}

impl Report {
    fn refused(refused: Refused, hint: Option<String>) -> Self {
        Self::new("refused", refused.to_string(), hint)
    }

    fn no_cookie(name: &str, header: &str) -> Self {
        let names: Vec<_> = header.split(';').filter_map(|pair| Some(pair.split_once('=')?.0.trim())).collect();
        let hint = format!("it has {}; the right name is given with --cookie-name", names.join(", "));
        Self::new("refused", format!("no cookie has the name {name}"), Some(hint))
    }

    fn new(state: &'static str, means: String, hint: Option<String>) -> Self {
        Self { state, means, hint, head: Vec::new(), cookie: Map::new(), session: None, exit: Exit::NoSession }
    }

    fn fields(&self, values: Values) -> Vec<(String, String)> {
        let mut fields = vec![("state".to_owned(), format!("{}: {}", self.state, self.means))];
        fields.extend(self.hint.iter().map(|hint| ("hint".to_owned(), hint.clone())));
        fields.extend(self.head.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        match self.session.as_ref().and_then(|found| found.session()) {
            Some(session) => fields.extend(session.fields(values)),
            None => fields.extend(self.session.iter().flat_map(|found| {
                let Inspected { handle, fingerprint, .. } = &found.inspected;
                [("handle", handle.to_string()), ("in logs", fingerprint.to_string())]
                    .map(|(name, value)| (name.to_owned(), value))
            })),
        }
        fields
    }

    fn json(&self, values: Values) -> Value {
        let mut json = Map::new();
        json.insert("state".to_owned(), self.state.into());
        json.insert("means".to_owned(), self.means.as_str().into());
        json.insert("hint".to_owned(), self.hint.as_deref().map_or(Value::Null, Into::into));
        json.extend(self.cookie.clone());
        let session = self.session.as_ref().and_then(|found| found.session());
        json.insert("session".to_owned(), session.map_or(Value::Null, |session| session.json(values).into()));
        json.into()
    }
}

impl Found {
    fn session(&self) -> Option<Session<'_>> {
        let (record, times) = match &self.loaded {
            Some(loaded) => (&loaded.record, loaded.times),
            None => self.inspected.session()?,
        };
        let Inspected { handle, fingerprint, .. } = self.inspected;
        Some(Session { handle, fingerprint: Some(fingerprint), record, times, now: self.now })
    }
}

async fn authentic(inspected: &Inspected, secrets: usize, store: Option<&Store>) -> Result<Report, Failure> {
    let now = SystemClock.now();
    let (mut loaded, mut hint) = (None, None);
    let (state, means, exit) = match (inspected.validity(now), store) {
        (Validity::InStore, None) => {
            hint = Some("give --store to see whether its session is alive there".to_owned());
            ("authentic", "the session is in the application's store", Exit::Done)
        }
        (Validity::InStore, Some(store)) => {
            match store.sessions.load(&StoreKey::from(inspected.handle)).await {
                Ok(found) => loaded = found,
                Err(error) if error.is_unreadable() => {
                    hint = Some("if the application keeps its sessions encrypted, give --store-secret-env".to_owned());
                }
                Err(error) => return Err(error.into()),
            }
            match (&loaded, &hint) {
                (Some(_), _) => ("live", "the session is alive in the store", Exit::Done),
                (None, None) => (
                    "absent",
                    "the store has no live session for it: it has ended, expired or been renewed",
                    Exit::NoSession,
                ),
                (None, Some(_)) => {
                    ("unreadable", "what the store has for it can't be read as a session", Exit::NoSession)
                }
            }
        }
        (Validity::Expired, _) => ("expired", "its deadline has passed", Exit::NoSession),
        (Validity::InFuture, _) => (
            "in the future",
            "it was last used later than this machine's clock shows, by more than a minute: look at the nodes' clocks",
            Exit::NoSession,
        ),
        (_, Some(store)) if inspected.is_revoked(&*store.sessions).await? => {
            ("revoked", "the store has a revocation of it", Exit::NoSession)
        }
        (_, Some(_)) => ("live", "the session is in the cookie, within its time and not revoked", Exit::Done),
        (_, None) => {
            hint = Some("where the application keeps revocations, give --store to ask for one".to_owned());
            ("live", "the session is in the cookie, and within its time", Exit::Done)
        }
    };
    let now = loaded.as_ref().map_or(now, |loaded: &Loaded| loaded.now);
    let role = if inspected.place == 0 { "the current one" } else { "retired: the next response brings a new cookie" };
    let head = vec![
        ("purpose", format!("{}: {}", inspected.purpose.name(), carries(inspected.purpose))),
        ("key", format!("{}, number {} of {}, {role}", inspected.key, inspected.place + 1, secrets)),
    ];
    let cookie = json!({
        "purpose": inspected.purpose.name(),
        "key": inspected.key.to_string(),
        "key_place": inspected.place,
        "key_is_current": inspected.place == 0,
        "handle": inspected.handle.to_string(),
        "fingerprint": inspected.fingerprint.to_string(),
    });
    let Value::Object(cookie) = cookie else { return Ok(Report::new(state, means.to_owned(), hint)) };
    let session = Some(Box::new(Found { inspected: inspected.clone(), loaded, now }));
    Ok(Report { state, means: means.to_owned(), hint, head, cookie, session, exit })
}

const fn carries(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Reference => "a signed id; the session is in a store",
        Purpose::Sealed => "the session itself, encrypted",
        Purpose::Signed => "the session itself, readable and signed",
    }
}

fn answer(reports: &[Report], values: Values, was_visible: bool) -> Answer {
    let people: Vec<_> = reports.iter().map(|report| fields(report.fields(values))).collect();
    let programs: Vec<_> = reports.iter().map(|report| report.json(values)).collect();
    let live = reports.iter().filter(|report| report.exit == Exit::Done).count();
    let mut answer = Answer::new(people.join("\n\n"), json!({ "cookies": programs }));
    if live > 1 {
        answer =
            answer.note("A request that brings two live sessions has none: which of them was planted can't be told.");
    }
    if was_visible {
        answer = answer.note(
            "The cookie was on the command line, where other users of this machine and the shell's history see it. Pipe it in instead.",
        );
    }
    answer.code(if live == 1 { Exit::Done } else { Exit::NoSession })
}
