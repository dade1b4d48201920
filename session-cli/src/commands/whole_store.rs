//! `sweep` and `stats`.

use serde_json::json;
use session_core::{Count, Place};

use crate::arguments::{Stats, Sweep};
use crate::failure::Failure;
use crate::output::{Answer, fields, number};
use crate::progress::Progress;
use crate::store::Store;

/// So many entries are counted at once: some milliseconds of the store's time.
const STRETCH: usize = 2_000;

pub(crate) async fn sweep(arguments: &Sweep) -> Result<Answer, Failure> {
    let store = Store::connect(&arguments.store).await?;
    let batch = arguments.batch as usize;
    let (mut progress, mut swept) = (Progress::new(), 0_u64);
    loop {
        progress.tell(|| format!("{} swept", number(swept)));
        let now = store.sessions.sweep(batch).await?;
        swept += now as u64;
        if now < batch {
            break;
        }
    }
    drop(progress);
    let people = match swept {
        0 => "No expired session was left to sweep.".to_owned(),
        1 => "1 expired session is swept.".to_owned(),
        _ => format!("{} expired sessions are swept.", number(swept)),
    };
    let answer = Answer::new(people, json!({ "swept": swept }));
    Ok(if store.frees_by_itself { answer.note("Redis frees what has expired by itself.") } else { answer })
}

pub(crate) async fn stats(arguments: &Stats) -> Result<Answer, Failure> {
    let store = Store::connect(&arguments.store).await?;
    let (mut progress, mut count, mut next) = (Progress::new(), Count::default(), Some(Place::START));
    while let Some(place) = next {
        progress.tell(|| format!("{} counted", number(count.live + count.expired)));
        let (stretch, following) = store.countable.count(place, STRETCH).await?;
        (count, next) = (count.plus(stretch), following);
    }
    drop(progress);
    let Count { live, with_subject, expired, bytes } = count;
    let anonymous = live.saturating_sub(with_subject);
    let mean = bytes.checked_div(live).unwrap_or(0);
    let rows = [
        ("live sessions", number(live)),
        ("  logged in", number(with_subject)),
        ("  anonymous", number(anonymous)),
        (
            "expired, not swept",
            if store.frees_by_itself { "Redis frees them by itself".to_owned() } else { number(expired) },
        ),
        ("size of the live ones", format!("{} bytes", number(bytes))),
        ("  on average", format!("{} bytes", number(mean))),
    ];
    let people = fields(rows.map(|(name, value)| (name.to_owned(), value)));
    let programs = json!({
        "live": live,
        "logged_in": with_subject,
        "anonymous": anonymous,
        "expired": if store.frees_by_itself { None } else { Some(expired) },
        "bytes": bytes,
        "mean_bytes": mean,
    });
    Ok(Answer::new(people, programs))
}
