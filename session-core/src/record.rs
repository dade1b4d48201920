//! What a store keeps of a session, and how it is written down.

use std::fmt;
use std::fmt::Write as _;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::millis;
use crate::csrf::CsrfSecret;
use crate::expiry::Expiry;
use crate::flash::Flash;
use crate::values::{Values, json_size};

/// One session as stores see it: who, for how long, and the application's values. No id, no cookie.
///
/// A clone shares the values until one side changes them.
///
/// ```
/// use session_core::{Expiry, Record};
///
/// let mut record = Record::new(Expiry::default());
/// record.subject = Some("ada".into());
/// record.values_mut().insert("n", 1);
///
/// let json = record.to_json();
/// assert_eq!(Record::from_json(&json)?, record);
/// # Ok::<(), session_core::RecordError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Record {
    /// Who is logged in, as the application names its users.
    pub subject: Option<Arc<str>>,
    /// The limits this session was made with.
    pub expiry: Expiry,
    values: Values,
    /// None as long as there is nothing.
    own: Option<Arc<Own>>,
}

/// What this crate itself keeps in a record, beside the application's values.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Own {
    /// How long after the creation the subject last proved who they are, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authenticated: Option<u64>,
    /// As `authenticated`: when it was spared while the subject's other sessions were ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spared: Option<u64>,
    /// As `authenticated`: when it got its present id. Noted where ids don't get older than the application wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) renewed: Option<u64>,
    /// A hash of the credential they proved it with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stamp: Option<String>,
    /// A keyed hash of what the browser called itself then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<String>,
    /// What to call the session in a list of devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
    /// The cookie outlives the browser's windows, whatever the application's other cookies do.
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) remembered: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) flashes: Vec<Flash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) csrf: Vec<CsrfSecret>,
}

impl Own {
    /// How long after the creation the session became what it is, for who ends what was made before a moment.
    pub(crate) fn made(&self) -> u64 {
        self.authenticated.max(self.spared).unwrap_or_default()
    }
}

impl Record {
    /// The format this version writes. It reads this one and every one before it.
    pub const FORMAT: u64 = 1;

    /// A session without subject and values.
    ///
    /// ```
    /// # use session_core::{Expiry, Record};
    /// assert!(Record::new(Expiry::default()).is_blank());
    /// ```
    #[must_use]
    pub fn new(expiry: Expiry) -> Self {
        Self { subject: None, expiry, values: Values::default(), own: None }
    }

    /// The values.
    ///
    /// ```
    /// # use session_core::{Expiry, Record};
    /// assert!(Record::new(Expiry::default()).values().is_empty());
    /// ```
    #[must_use]
    pub const fn values(&self) -> &Values {
        &self.values
    }

    /// The values, to change them.
    ///
    /// ```
    /// # use session_core::{Expiry, Record};
    /// let mut record = Record::new(Expiry::default());
    /// record.values_mut().insert("k", true);
    /// assert_eq!(record.values().len(), 1);
    /// ```
    pub const fn values_mut(&mut self) -> &mut Values {
        &mut self.values
    }

    pub(crate) fn own(&self) -> &Own {
        static NOTHING: LazyLock<Own> = LazyLock::new(Own::default);
        self.own.as_deref().unwrap_or(&NOTHING)
    }

    pub(crate) fn change_own<T>(&mut self, change: impl FnOnce(&mut Own) -> T) -> T {
        let own = Arc::make_mut(self.own.get_or_insert_default());
        let outcome = change(own);
        if *own == Own::default() {
            self.own = None;
        }
        outcome
    }

    /// Whether there is nothing worth storing: nobody logged in, no value, no message, no token for a form.
    ///
    /// ```
    /// # use session_core::{Expiry, Record};
    /// let mut record = Record::new(Expiry::default());
    /// record.subject = Some("ada".into());
    /// assert!(!record.is_blank());
    /// ```
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.subject.is_none() && self.values.is_empty() && self.own().flashes.is_empty() && self.own().csrf.is_empty()
    }

    /// The record as JSON text that people and other languages can read.
    ///
    /// ```
    /// # use session_core::{Expiry, Record};
    /// let json = Record::new(Expiry::default()).to_json();
    /// assert!(json.starts_with(br#"{"format":1,"subject":null,"idle":1800000,"#));
    /// ```
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = String::with_capacity(self.values.size() + ROOM);
        json.push('{');
        self.write(&mut json);
        json.push('}');
        json.into_bytes()
    }

    /// The length of [`Record::to_json`] in bytes, without building it.
    ///
    /// ```
    /// # use session_core::{Expiry, Record};
    /// let record = Record::new(Expiry::default());
    /// assert_eq!(record.size(), record.to_json().len());
    /// ```
    #[must_use]
    pub fn size(&self) -> usize {
        let subject = self.subject.as_deref().map_or("null".len(), json_size);
        let limits = digits(millis(self.expiry.idle)) + digits(millis(self.expiry.lifetime));
        // A comma in the place of the braces.
        let own = self.own.as_deref().map_or(0, |own| json(own).len() - 1);
        AROUND.len() + subject + limits + self.values.size() + own
    }

    /// The members of the JSON object, so that others may stand beside them.
    pub(crate) fn write(&self, to: &mut String) {
        self.write_head(to);
        self.values.write(to);
        self.write_own(to);
    }

    fn write_head(&self, to: &mut String) {
        let subject = self.subject.as_deref().map_or_else(|| "null".to_owned(), |subject| json(&subject));
        let (idle, lifetime) = (millis(self.expiry.idle), millis(self.expiry.lifetime));
        // Writing to a String can't fail.
        let _ = write!(
            to,
            r#""format":{},"subject":{subject},"idle":{idle},"lifetime":{lifetime},"values":"#,
            Self::FORMAT
        );
    }

    fn write_own(&self, to: &mut String) {
        if let Some(own) = &self.own {
            let json = json(&**own);
            to.push(',');
            to.push_str(&json[1..json.len() - 1]);
        }
    }

    /// Reads what [`Record::to_json`] wrote, in this or an earlier version.
    ///
    /// # Errors
    /// If the text is no record, or one of a format that this version doesn't know. The error never shows
    /// what it read.
    ///
    /// ```
    /// # use session_core::{Record, RecordError};
    /// assert_eq!(Record::from_json(b"[]"), Err(RecordError::Malformed));
    /// assert_eq!(Record::from_json(br#"{"format":9}"#), Err(RecordError::Format(9)));
    /// ```
    pub fn from_json(json: &[u8]) -> Result<Self, RecordError> {
        match serde_json::from_slice::<Written>(json) {
            Ok(written) if written.format == Self::FORMAT => Ok(written.into()),
            // Another format may have other members, too.
            _ => match serde_json::from_slice(json) {
                Ok(Head { format }) if format != Self::FORMAT => Err(RecordError::Format(format)),
                _ => Err(RecordError::Malformed),
            },
        }
    }
}

/// What is around the values of most sessions, in bytes.
const ROOM: usize = 256;
/// What every record has around its members.
const AROUND: &str = r#"{"format":1,"subject":,"idle":,"lifetime":,"values":}"#;

fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("text, numbers and lists of them are JSON")
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("expiry", &self.expiry)
            .field("values", &self.values.len())
            .finish_non_exhaustive()
    }
}

/// Why a stored text is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Written by a newer version of this crate, or by something else.
    #[error("a session record of format {0}, which this version does not know")]
    Format(u64),
    /// Not a record at all.
    #[error("not a session record")]
    Malformed,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it like this")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

#[derive(Deserialize)]
struct Head {
    format: u64,
}

#[derive(Deserialize)]
struct Written {
    format: u64,
    subject: Option<String>,
    idle: u64,
    lifetime: u64,
    values: Values,
    #[serde(flatten)]
    own: Own,
}

impl From<Written> for Record {
    fn from(written: Written) -> Self {
        let Written { subject, idle, lifetime, values, own, .. } = written;
        let expiry = Expiry { idle: Duration::from_millis(idle), lifetime: Duration::from_millis(lifetime) };
        let own = (own != Own::default()).then(|| Arc::new(own));
        Self { subject: subject.map(Into::into), expiry, values, own }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Record {
        let mut record = Record::new(Expiry::default());
        record.subject = Some("ada".into());
        record.values_mut().insert("cart", serde_json::json!({ "items": [1, 2], "note": "tea & co" }));
        record
    }

    #[test]
    fn format_1_stays_readable() {
        let golden = br#"{"format":1,"subject":"ada","idle":1800000,"lifetime":43200000,"values":{"cart":{"items":[1,2],"note":"tea & co"}}}"#;
        assert_eq!(sample().to_json(), golden);
        assert_eq!(Record::from_json(golden), Ok(sample()));
    }

    #[test]
    fn a_field_of_a_later_minor_version_does_no_harm() {
        let json = br#"{"format":1,"subject":null,"idle":1,"lifetime":2,"values":{},"label":"new"}"#;
        assert!(Record::from_json(json).unwrap().is_blank());
    }

    #[test]
    fn numbers_come_back_as_they_were() {
        for number in [-9.223367440737203e25, 0.1, 5e-324, f64::MAX, -0.0, 123_456_789.123_456_79] {
            let mut record = sample();
            record.values_mut().insert("number", number);
            assert_eq!(Record::from_json(&record.to_json()), Ok(record), "{number}");
        }
    }

    #[test]
    fn what_is_no_record_is_refused_without_a_word_about_its_content() {
        for bad in [
            &b""[..],
            b"null",
            b"{}",
            br#"{"format":1}"#,
            br#"{"format":"1"}"#,
            b"\xff\xfe",
            br#"{"format":1,"subject":5,"idle":1,"lifetime":2,"values":{}}"#,
        ] {
            assert_eq!(Record::from_json(bad), Err(RecordError::Malformed));
        }
        let deep = [b"[".repeat(100_000), b"]".repeat(100_000)].concat();
        assert_eq!(Record::from_json(&deep), Err(RecordError::Malformed));
    }

    #[test]
    fn a_clone_is_independent() {
        let original = sample();
        let mut copy = original.clone();
        copy.values_mut().clear();
        assert_eq!(original.values().len(), 1);
    }

    #[test]
    fn debug_shows_neither_subject_nor_values() {
        let text = format!("{:?}", sample());
        assert!(!text.contains("ada") && !text.contains("tea") && !text.contains("cart"), "{text}");
    }
}
