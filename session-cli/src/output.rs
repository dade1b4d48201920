//! What people and programs read.

use std::fmt::Write as _;

use comfy_table::{Table, presets};
use jiff::fmt::strtime;
use serde_json::Value;
use session_core::Timestamp;

use crate::failure::Exit;

/// The same for people and for programs.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) people: String,
    pub(crate) programs: Value,
    /// For people, beside the answer: on stderr.
    pub(crate) notes: Vec<String>,
    pub(crate) code: Exit,
}

impl Answer {
    pub(crate) fn new(people: impl Into<String>, programs: Value) -> Self {
        Self { people: people.into(), programs, notes: Vec::new(), code: Exit::Done }
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    pub(crate) fn code(self, code: Exit) -> Self {
        Self { code, ..self }
    }
}

/// Whether a character could make a terminal do something, or a line look like another one: labels, subjects and values come
/// from visitors.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Text that a terminal shows as it is.
pub(crate) fn plain(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut plain, character| {
        if is_unsafe(character) {
            plain.extend(character.escape_unicode());
        } else {
            plain.push(character);
        }
        plain
    })
}

/// JSON over several lines, in which nothing does anything to a terminal either.
pub(crate) fn json(value: &Value) -> String {
    let text = format!("{value:#}");
    text.chars().fold(String::with_capacity(text.len()), |mut json, character| {
        if is_unsafe(character) && character != '\n' {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String can't fail.
                let _ = write!(json, "\\u{unit:04x}");
            }
        } else {
            json.push(character);
        }
        json
    })
}

/// A table with a head.
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(head.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| plain(cell)));
    }
    trimmed(&table)
}

/// What something has, line by line.
pub(crate) fn fields(rows: impl IntoIterator<Item = (String, String)>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for (name, value) in rows {
        table.add_row([plain(&name), plain(&value)]);
    }
    trimmed(&table)
}

fn trimmed(table: &Table) -> String {
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    // The table sets everything off by a blank.
    lines.iter().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// A moment for programs: RFC 3339, in UTC.
pub(crate) fn moment(at: Timestamp) -> Value {
    timestamp(at).map_or(Value::Null, |at| at.to_string().into())
}

/// A moment for people, and how far it is away.
pub(crate) fn when(at: Timestamp, now: Timestamp) -> String {
    let Some(moment) = timestamp(at) else { return "never".to_owned() };
    let text = strtime::format("%Y-%m-%d %H:%M:%S UTC", moment).unwrap_or_default();
    format!("{text} ({})", how_far(at, now))
}

/// How far away a moment is.
pub(crate) fn how_far(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        format!("in {}", long(at.since(now).as_secs()))
    } else {
        format!("{} ago", long(now.since(at).as_secs()))
    }
}

/// A length of time in the largest unit that it has two of, so that it is off by half at most.
pub(crate) fn long(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let unit = units.into_iter().find(|(length, _)| seconds >= 2 * length);
    unit.map_or_else(|| format!("{seconds} s"), |(length, name)| format!("{} {name}", seconds / length))
}

/// A number with its thousands apart.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let parts: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    parts.join(",")
}

fn timestamp(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(i64::try_from(at.as_millis()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_visitor_moves_the_cursor() {
        assert_eq!(
            plain("a\x1b[2Jb\u{9b}c\r\n\u{202e}d\u{200d}é日"),
            "a\\u{1b}[2Jb\\u{9b}c\\u{d}\\u{a}\\u{202e}d\\u{200d}é日"
        );
        let text = "\u{1b}\u{9b}\u{7f}\n\u{202e}\u{e0041}é";
        let written = json(&serde_json::json!({ "label": text }));
        assert!(written.chars().all(|character| character == '\n' || !is_unsafe(character)), "{written}");
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap()["label"], text);
    }

    #[test]
    fn moments_and_lengths_are_as_people_write_them() {
        let (noon, now) = (Timestamp::from_millis(1_793_000_000_999), Timestamp::from_millis(1_793_000_200_000));
        assert_eq!(when(noon, now), "2026-10-26 07:33:20 UTC (3 min ago)");
        assert_eq!(when(now, noon), "2026-10-26 07:36:40 UTC (in 3 min)");
        assert_eq!(when(Timestamp::from_millis(u64::MAX), now), "never");
        assert_eq!(moment(noon), "2026-10-26T07:33:20.999Z");
        assert_eq!([0, 119, 120, 7_200, 172_800].map(long), ["0 s", "119 s", "2 min", "2 h", "2 d"]);
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_table_has_no_frame_and_no_blanks_at_its_ends() {
        let text = table(&["A", "B"], [vec!["x".to_owned(), "\x1b".to_owned()], vec![String::new(), String::new()]]);
        assert_eq!(text, "A  B\nx  \\u{1b}\n");
    }
}
