//! `pki invite list` and `pki invite show`.

use std::fmt;

use serde::Serialize;

use crate::ca::{self, NotFound};
use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::report::{lines, table};
use crate::doctor;
use crate::model::{Address, InviteId, InviteState, Invited, Platform, Serial, Time, counted};

/// List the invites that are open, and what has become of the others
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki invite list
  pki invite list --open")]
pub struct ListArgs {
    /// Only those that can still be redeemed
    #[arg(long)]
    open: bool,
}

/// Show one invite
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki invite show 7K2M9XQ4")]
pub struct ShowArgs {
    /// The invite, as `pki invite list` names it
    #[arg(value_name = "ID")]
    id: InviteId,
}

/// An invite, for people and scripts.
#[derive(Debug, Serialize)]
pub struct Row {
    id: InviteId,
    address: Address,
    state: InviteState,
    created: Time,
    until: Time,
    #[serde(rename = "for")]
    platform: Platform,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<Serial>,
    /// The certificate whose bundle it hands out.
    #[serde(skip_serializing_if = "Option::is_none")]
    server_key: Option<Serial>,
    /// How often that was handed out once more, to another network.
    #[serde(skip_serializing_if = "Option::is_none")]
    fetched_again: Option<usize>,
    /// The words of the key that waits for approval.
    #[serde(skip_serializing_if = "Option::is_none")]
    words: Option<String>,
    /// Other keys that came with the right secret.
    refused: u32,
    /// Wrong codes that came with the right secret.
    wrong_codes: u32,
    /// Whether it asks for six digits, which travel apart.
    asks_for_code: bool,
    /// Whether an operator approves the device's key.
    needs_approval: bool,
    /// Whether it takes the place of what the device has.
    replaces: bool,
    /// Whether what was fetched is not handed out any more before its time is over.
    #[serde(skip)]
    is_suspended: bool,
}

impl Row {
    /// An invite as it stands at `now`.
    pub fn new(invited: &Invited, now: Time) -> Self {
        let invite = &invited.invite;
        Self {
            id: invite.id,
            address: invite.address.clone(),
            state: invited.state(now),
            created: invited.created,
            until: invite.until,
            platform: invite.platform,
            serial: invited.serial(),
            server_key: invite.server_key,
            fetched_again: invite.server_key.map(|_| invited.fetched_again()),
            words: invited.words(),
            refused: invited.refused,
            wrong_codes: invited.wrong_codes,
            asks_for_code: invite.code.is_some(),
            needs_approval: invite.approve,
            replaces: invite.replace,
            is_suspended: invited.suspended.is_some(),
        }
    }

    /// What an operator should look into.
    fn remark(&self) -> String {
        match (
            self.refused,
            self.fetched_again.unwrap_or_default(),
            self.wrong_codes,
        ) {
            (0, 0, 0) => String::new(),
            (0, 0, wrong) => counted(wrong, "wrong code"),
            (0, again, _) => {
                let networks = counted(again, "other network");
                match self.is_suspended {
                    true => format!("fetched again from {networks}, and handed out no more"),
                    false => format!("fetched again from {networks}"),
                }
            }
            (refused, ..) => format!("{} refused", counted(refused, "other key")),
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "invite    {}", self.id)?;
        writeln!(f, "device    {} (for {})", self.address, self.platform.word())?;
        writeln!(f, "state     {}", self.state.word())?;
        writeln!(f, "created   {}", self.created)?;
        writeln!(f, "until     {}", self.until)?;
        if let Some(words) = &self.words {
            writeln!(f, "words     {words}")?;
        }
        if let Some(serial) = self.serial.or(self.server_key) {
            writeln!(f, "serial    {serial}")?;
        }
        if self.server_key.is_some() {
            writeln!(f, "hands out a file, whose key was made with the invite")?;
        }
        for (is_so, what) in [
            (self.asks_for_code, "asks for six digits, which travel apart"),
            (self.needs_approval, "needs an operator who approves the device"),
            (self.replaces, "takes the place of what the device has"),
        ] {
            if is_so {
                writeln!(f, "{what}")?;
            }
        }
        match self.remark() {
            remark if remark.is_empty() => Ok(()),
            remark => writeln!(f, "remark    {remark}"),
        }
    }
}

#[derive(Debug, Serialize)]
struct List {
    invites: Vec<Row>,
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.invites.is_empty() {
            return Ok(());
        }
        let mut shown = table(&["INVITE", "DEVICE", "STATE", "UNTIL", ""]);
        for row in &self.invites {
            shown.add_row([
                row.id.to_string(),
                row.address.to_string(),
                row.state.word().to_owned(),
                row.until.to_string(),
                row.remark(),
            ]);
        }
        f.write_str(&lines(&shown))
    }
}

pub fn list(args: ListArgs, context: &Context) -> Result<Exit, Failure> {
    let home = context.open()?;
    let store = context.read(&home)?;
    let now = system_clock();
    let mut invites = Vec::new();
    store.invites(&mut |invited| {
        if !args.open || invited.state(now).is_open() {
            invites.push(Row::new(&invited, now));
        }
        Ok(())
    })?;
    let uses = ca::second_uses(&store, now)?;
    drop(store);
    invites.sort_by_key(|row| (row.created, row.id));
    context.ui.say(counted(invites.len(), "invite"));
    for second in uses {
        context.ui.warn(&second);
        context.ui.hint(doctor::whose_is_it(&second));
    }
    context.ui.report(&List { invites })?;
    Ok(Exit::Done)
}

pub fn show(args: &ShowArgs, context: &Context) -> Result<Exit, Failure> {
    let home = context.open()?;
    let store = context.read(&home)?;
    let invited = store.invite(&args.id)?.ok_or(NotFound::Invite(args.id))?;
    drop(store);
    context.ui.report(&Row::new(&invited, system_clock()))?;
    Ok(Exit::Done)
}
