//! What is in force, for the log of an application that starts.

use crate::commit::Machine;
use crate::quota::Quota;
use crate::store::SubjectLimit;
use crate::token::Purpose;

const TARGET: &str = "session_core::summary";
const COPIED: &str = "none: a copied cookie works until its deadline";

/// Says it once for each manager. No secret, no URL and nothing of a store comes into it.
pub(crate) fn summarise(machine: &Machine) {
    #[cfg(feature = "metrics")]
    crate::event::describe();
    let Machine { attributes, policy, max_bytes, max_keys, limit, .. } = machine;
    let carrier = match machine.tokens.purpose() {
        Purpose::Reference => "stored",
        Purpose::Sealed => "sealed",
        Purpose::Signed => "signed",
    };
    // A store ends its sessions by itself.
    let revocation = match (&machine.store, &machine.revocations) {
        (Some(_), _) => None,
        (None, Some(_)) => Some("kept"),
        (None, None) => Some(COPIED),
    };
    let per_subject = match limit {
        SubjectLimit::None => "any number".to_owned(),
        SubjectLimit::EndOldest(most) => format!("{most}, then the oldest ends"),
        SubjectLimit::Refuse(most) => format!("{most}, then logins are refused"),
    };
    tracing::info!(
        target: TARGET,
        carrier,
        cookie = attributes.shown(),
        persistent = attributes.persistent,
        chunked = attributes.chunked,
        idle = ?policy.expiry.idle,
        lifetime = ?policy.expiry.lifetime,
        anonymous_idle = ?policy.anonymous.idle,
        touch_every = ?policy.touch_every,
        renew_every = policy.renew_every.map(tracing::field::debug),
        max_bytes,
        max_keys,
        max_anonymous = machine.anonymous.as_ref().map(Quota::most),
        sessions_per_subject = per_subject,
        revocation,
        refuse_cross_origin = machine.cross_origin.is_some(),
        bind_user_agent = machine.binding.as_ref().map(tracing::field::debug),
        "sessions are in force"
    );
    for (chosen, choice, means) in [
        (!attributes.secure, "insecure_over_plain_http", "everybody on the way can take a session over"),
        (!attributes.http_only, "insecure_readable_by_scripts", "every script in a page can take the session over"),
        (revocation == Some(COPIED), "NoneCopiedCookiesStayValid", "a logout doesn't end what somebody has copied"),
    ] {
        if chosen {
            tracing::warn!(target: TARGET, choice, "{means}");
        }
    }
}
