//! What takes something back is recorded now, whatever keeps the key closed; what can be published is
//! published.

use super::context::Context;
use super::error::{Exit, Failure};
use super::secrets::IssuingSecret;
use super::ui::Ui;
use crate::ca::{self, ClockPolicy, Desk, Keys, Session};
use crate::home::Home;

/// Whether something is left to publish: an earlier command may have been cut off between recording and
/// publishing, or what was to follow failed.
pub fn is_behind(desk: &Desk) -> Result<bool, Failure> {
    Ok(!ca::owed_commands(&desk.home).is_empty()
        || !ca::behind(&desk.session(ClockPolicy::Lenient)?)?.is_empty())
}

/// Publishes what was recorded. Nothing opens the key where pki.toml alone may say who knows its passphrase,
/// and nobody can tell what it says.
pub fn publish(
    context: &Context,
    session: &mut Session<'_>,
    keys: Option<Keys<'_>>,
) -> Result<Exit, Failure> {
    let Some(keys) = keys else {
        return Ok(tell_recorded_alone(context, session.desk, "run `pki publish`"));
    };
    context.publish_change(session, keys)
}

/// Says that nothing was published, and what is to follow. Where pki.toml cannot be read that is not done by
/// `next` alone: what kept nobody waiting is told, and has its exit code.
pub fn tell_recorded_alone(context: &Context, desk: &Desk, next: &str) -> Exit {
    let Some(why) = desk.home.unread() else {
        context.ui.hint(next);
        return Exit::Done;
    };
    context.ui.warn(why);
    context.ui.hint(
        "it is recorded alone, and servers let it in: correct the file, then run `pki publish`, for no list has it yet",
    );
    Exit::Incomplete
}

/// What the key opens; nothing where only pki.toml could have said who knows its passphrase.
///
/// # Errors
/// Whatever keeps the key closed, a lost phone can be recorded now.
pub fn unlock<T>(
    secret: &IssuingSecret,
    context: &Context,
    desk: &Desk,
    open: impl FnOnce(&IssuingSecret, &Home, &Ui) -> Result<T, Failure>,
) -> Result<Option<T>, Failure> {
    let (home, ui) = (&desk.home, &context.ui);
    if home.unread().is_some() && secret.is_typed(home) && !ui.can_ask() {
        return Ok(None);
    }
    open(secret, home, ui).map(Some).map_err(|failure| match failure.exit {
        Exit::Secret | Exit::Refused => {
            let record = "nothing is recorded yet: the same with --no-publish records it without the key, and servers act on it after `pki publish`";
            let hint = match &failure.hint {
                Some(hint) => format!("{hint}; {record}"),
                None => record.to_owned(),
            };
            failure.hint(hint)
        }
        Exit::Done | Exit::Usage | Exit::Found | Exit::Incomplete | Exit::Bug | Exit::Interrupted => failure,
    })
}
