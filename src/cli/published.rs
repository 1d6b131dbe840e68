//! Reports the outcome of a publication, and runs the commands that follow it.

use std::process::{Command, Stdio};

use super::context::Context;
use super::error::{Exit, Failure, GOES_ON_HERE, RECONCILE, place_remedy};
use super::in_shell;
use crate::ca::{
    self, ClockPolicy, Desk, Doubts, Following, Keys, Published, PublishingError, Refresh, Session,
};
use crate::model::{Clock, Fact, Span, counted};
use crate::publish::{FEW, TargetError};

/// How many of one kind are shown one by one.
const SHOWN: usize = 20;

/// A command in the form that a shell reads.
pub fn in_words(command: &[String]) -> String {
    let words: Vec<String> = command.iter().map(|word| in_shell(word)).collect();
    words.join(" ")
}

/// Set for a command that follows a publication. Where it is a `pki` itself, or has one run, that leaves to
/// the one above what was owed before, which is the very command that it runs in: it would be run in itself
/// for ever.
const FOLLOWS: &str = "PKI_FOLLOWS";

impl Context {
    /// Publishes after a change, and reports the outcome.
    ///
    /// # Errors
    /// Exit 5: what was recorded stays recorded.
    pub fn publish_change<'k>(
        &self,
        session: &mut Session<'_>,
        keys: impl Into<Keys<'k>>,
    ) -> Result<Exit, Failure> {
        let unpublished = |e| Failure::from(PublishingError::Unpublished(Box::new(e)));
        match ca::refresh(session, keys.into()).map_err(unpublished)? {
            Refresh::NeedsKey => Ok(Exit::Done),
            Refresh::Done(published) => Ok(self.tell_published(&published, session.clock)),
        }
    }

    /// Reports what was published, and returns the exit code. Where servers will not accept it, by this
    /// machine's clock, the work is not done.
    pub fn tell_published(&self, published: &Published, clock: Clock) -> Exit {
        let mut exit = Exit::Done;
        if let Some(crl) = &published.crl {
            let seconds = crl.took.as_secs_f64();
            self.ui.detail(format!(
                "CRL {} signed in {seconds:.2} s: {} revoked",
                crl.number, crl.entries
            ));
        }
        if published.adopted > 0 {
            self.ui.warn(format!(
                "recorded {} that the published CRL has and the ledger had not (restored from an older backup, or in use elsewhere, too?)",
                counted(published.adopted, "revocation")
            ));
        }
        self.tell_given_up_by_crl(&published.given_up);
        if published.leaves_long_lists && published.crl.is_some() {
            self.ui.hint(
                "servers that go by devices.json alone (Caddy, an API Gateway), and machines that fetch by an older pki, lock out with the next \
                 `pki publish`",
            );
        }
        if published.has_long_lists_now {
            self.ui.warn(format!(
                "servers are told of more than {FEW} certificates now: devices.json and allowed.map are written whole by `pki publish` alone \
                 from now on, and what has changed stands in short lists beside them"
            ));
            self.ui.hint(
                "update `pki` on machines that fetch; print the configurations of servers anew (`pki config`); and run \
                 `pki publish` from a timer",
            );
        }
        let recovered: Vec<String> = published
            .recovered
            .iter()
            .map(|told| format!("{} of {}", told.serial, told.address))
            .collect();
        self.tell_recovered(&recovered);
        if !published.invites.is_empty() {
            let ids: Vec<String> = published.invites.iter().map(ToString::to_string).collect();
            self.ui.warn(format!(
                "cancelled {} that may have been used in what the ledger has lost: {}",
                counted(ids.len(), "open invite"),
                ids.join(", ")
            ));
            self.ui
                .hint("invite anew whoever has not enrolled: `pki invite create ADDRESS`");
        }
        self.tell_doubts(&published.doubts, published.is_confirmed);
        if let Some(number) = published.pins {
            self.ui.detail(format!("pin sets {number} signed"));
        }
        if let Some(error) = &published.unnoted {
            self.ui
                .warn(format!("which places have the pins could not be noted: {error}"));
        }
        if published.pins_ahead {
            exit = Exit::Incomplete;
            self.ui.warn(
                "the published pin sets are later than what the ledger knows (restored from an older backup, or in use elsewhere, too?): they stay as they are",
            );
            self.ui.hint(
                "restore the newest ledger.jsonl and servers/: the key that a server uses may be in no pin set that this home would sign",
            );
        }
        if let Some(copied) = &published.withheld {
            exit = Exit::Incomplete;
            self.ui.warn(format!(
                "{copied}: what has changed was written in this home, and published nowhere else"
            ));
            self.ui.hint(GOES_ON_HERE);
        }
        if let Some(made) = published.unreconciled {
            exit = Exit::Incomplete;
            self.ui.warn(format!(
                "this home was restored from the backup of {made}, and what happened since is not known: what was recorded now is published nowhere yet"
            ));
            self.ui.hint(RECONCILE);
        }
        if let Some(Fact::Reconciled { read, given_up }) = &published.reconciled {
            let read = match read.is_empty() {
                true => "nothing".to_owned(),
                false => read.join(", "),
            };
            self.ui
                .say(format!("this home was restored, and is reconciled with {read}"));
            for place in given_up {
                self.ui.say(format!("given up: what {place} knew"));
            }
        }
        for (place, error) in &published.failed {
            exit = Exit::Incomplete;
            self.ui.warn(if let TargetError::Unconfigured(why) = error {
                format!("published in the home alone, so that servers know nothing of it: {why}")
            } else if let TargetError::Forgotten(_) = error {
                format!("published in the home alone, so that servers know nothing of it: {error}")
            } else {
                format!("{place} was not published to: {error}")
            });
            self.ui.hint(place_remedy(error));
        }
        for following in &published.commands {
            let place = following.place();
            let mut waiting = self.following.borrow_mut();
            let before = waiting.len();
            waiting.retain(|waits| !following.takes_the_place_of(waits));
            let is_waiting = waiting.len() < before;
            if !is_waiting && !published.changed.iter().any(|changed| changed == place) {
                if std::env::var_os(FOLLOWS).is_some() {
                    continue;
                }
                let place = place.display();
                self.ui.say(format!(
                    "the command of the [[publish]] of {place} has not succeeded since: it is run now"
                ));
            }
            waiting.push(following.clone());
        }
        let now = clock.says();
        if let Some((begins, ends)) = published
            .issuing_crl
            .filter(|(begins, ends)| now < *begins || *ends < now)
        {
            exit = Exit::Incomplete;
            if self.clock_told.replace(true) {
                self.ui.more(format!(
                    "by that clock servers let nobody in: the new CRL is good from {begins} to {ends}"
                ));
            } else {
                self.ui.warn(format!(
                    "the new CRL is good from {begins} to {ends}, and the clock says {now}: by that clock servers let nobody in"
                ));
                self.ui
                    .hint("if the clock is right, run `pki publish --confirm CLOCK`; else set it, then run `pki publish`");
            }
        }
        if let Some(unfit) = &published.root_crl_unfit {
            exit = Exit::Incomplete;
            self.ui.warn(format!("{unfit}: servers let nobody in"));
            self.ui.hint("run `pki root crl`, which publishes it");
        } else if let Some(end) = published.root_crl_end.filter(|end| *end - now < Span::days(120)) {
            self.ui.warn(format!("the root's CRL ends in {}", end - now));
            self.ui
                .hint("take the root out of its safe soon, and run `pki root crl`");
        }
        exit
    }

    /// Takes in what the published lists at hand name and the ledger does not, so that it can be revoked by
    /// name; and leaves the home open.
    ///
    /// # Errors
    /// A busy home, or a ledger that cannot be written.
    pub fn recover<'a>(&self, desk: &'a Desk) -> Result<Session<'a>, Failure> {
        let mut session = self.session(desk, &mut ClockPolicy::Lenient)?;
        let recovered = ca::recover(&mut session)?;
        let recovered: Vec<String> = recovered
            .iter()
            .map(|told| format!("{} of {}", told.serial, told.address))
            .collect();
        self.tell_recovered(&recovered);
        Ok(session)
    }

    /// What is in doubt is told also where the operator has just said that it means nothing: perhaps nobody
    /// has seen it before.
    fn tell_doubts(&self, doubts: &Doubts, is_confirmed: bool) {
        let hint = |text: &str| {
            if !is_confirmed {
                self.ui.hint(text);
            }
        };
        let emptied = doubts.emptied();
        for place in &emptied {
            let text = format!(
                "{place} had no publication left, or a later one that does not tell all: the ledger knows less than was published, if this \
                 home was restored from a backup"
            );
            if is_confirmed {
                self.ui.say(text);
            } else {
                self.ui.warn(text);
            }
        }
        if !emptied.is_empty() {
            hint(
                "if it was, run `pki publish --published DIR`, with the half `server` that a server had fetched before; if it was not, `pki publish --confirm LEDGER`",
            );
        }
        let claims = doubts.unsigned();
        let more = claims.len().saturating_sub(SHOWN);
        if claims.len() > 0 {
            self.ui.warn(
                "lists that nobody has signed said what the ledger does not (the publication of a newer home that was cut off?):",
            );
            claims.take(SHOWN).for_each(|claim| self.ui.more(claim));
            if more > 0 {
                self.ui
                    .more(format!("and {more} more, in doubts.json of the home"));
            }
            hint(
                "if this home was restored from a backup, lock out what was lost by `pki revoke SERIAL --confirm SERIAL`; if it was not, `pki publish --confirm LEDGER`",
            );
        }
        for employee in doubts.leavers() {
            self.ui.warn(format!(
                "{employee} was locked out for having left, and is not offboarded in this ledger (restored from an older backup, or in use elsewhere, too?)"
            ));
            hint(&format!(
                "`pki offboard {employee}`; or `pki publish --confirm LEDGER`, if that is meant"
            ));
        }
        if is_confirmed && !doubts.is_empty() {
            self.ui
                .say("by --confirm LEDGER, none of this is in doubt any more");
        }
    }

    fn tell_recovered(&self, recovered: &[String]) {
        if recovered.is_empty() {
            return;
        }
        self.ui.warn(format!(
            "recorded {} that servers were told to accept and that the ledger had lost (restored from an older backup, or in use elsewhere, too?):",
            counted(recovered.len(), "certificate")
        ));
        for name in recovered.iter().take(SHOWN) {
            self.ui.more(name);
        }
        self.ui.hint(
            "whose device has it: `pki publish --keep SERIAL`; what is not theirs any more: `pki revoke SERIAL`",
        );
    }

    /// Runs the commands that are to follow a publication. Not under the lock: a command takes its time, and
    /// may be a `pki` itself.
    pub fn run_commands(&self) -> Exit {
        let mut exit = Exit::Done;
        for following in self.following.take() {
            let place = following.place().display();
            if let Err(why) = self.run(&following.command) {
                exit = Exit::Incomplete;
                self.ui
                    .warn(format!("the command of the [[publish]] of {place} failed: {why}"));
                self.ui.hint(format!(
                    "mend it, then run `pki publish`, which runs it again: {}",
                    in_words(&following.command)
                ));
            } else if let Err(failure) = self.settle(&following) {
                exit = Exit::Incomplete;
                self.ui.warn(format!(
                    "the command of the [[publish]] of {place} has done its work, which could not be written down: {}",
                    failure.message
                ));
                self.ui.hint("run `pki publish`: it runs the command once more");
            }
        }
        exit
    }

    /// Writes down that a command has done its work.
    fn settle(&self, following: &Following) -> Result<(), Failure> {
        Ok(ca::settle(&self.desk()?, following)?)
    }

    /// Runs a command of pki.toml. What it says goes to stderr: stdout is for what was asked for.
    fn run(&self, command: &[String]) -> Result<(), String> {
        let Some((program, arguments)) = command.split_first() else {
            return Ok(());
        };
        self.ui.detail(format!("running {program}"));
        let status = Command::new(program)
            .args(arguments)
            .env(FOLLOWS, "1")
            .stdin(Stdio::null())
            .stdout(Stdio::from(std::io::stderr()))
            .status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{program}: {status}")),
            Err(error) => Err(format!("{program} could not be started: {error}")),
        }
    }
}
