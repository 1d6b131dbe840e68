//! Hands an invite over: its code on the terminal or in files, and what travels apart from it.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use zeroize::Zeroizing;

use super::files::{Sheet, write};
use super::link::Link;
use crate::bundle::Code;
use crate::ca::{CaError, Invitation};
use crate::cli::context::Context;
use crate::cli::error::{Exit, Failure};
use crate::disk;
use crate::key::Passphrase;
use crate::model::{Address, Invite, InviteId, Serial, Time};

/// The invite, for scripts.
#[derive(Serialize)]
pub struct Report<'a> {
    id: InviteId,
    address: &'a Address,
    link: &'a str,
    secret: &'a str,
    pin: String,
    until: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    /// The certificate whose bundle it hands out.
    #[serde(skip_serializing_if = "Option::is_none")]
    serial: Option<Serial>,
    /// The passphrase of that bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    passphrase: Option<&'a str>,
    files: Vec<String>,
}

impl<'a> Report<'a> {
    /// An invite with its link, its secret, and the files that it is in. What travels apart is not
    /// in it.
    pub fn new(invite: &'a Invite, text: &'a str, secret: &'a str, link: &Link, files: &[PathBuf]) -> Self {
        Self {
            id: invite.id,
            address: &invite.address,
            link: text,
            secret,
            pin: link.pin(),
            until: invite.until,
            code: None,
            serial: invite.server_key,
            passphrase: None,
            files: files.iter().map(|file| file.display().to_string()).collect(),
        }
    }

    /// What a row of a table says of it: the device, the name of the invite, and its first file.
    pub fn row(&self) -> [String; 3] {
        let file = self.files.first().cloned().unwrap_or_default();
        [self.address.to_string(), self.id.to_string(), file]
    }
}

impl fmt::Display for Report<'_> {
    /// The paths of the files, a line each: the secret is in them, or was shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.iter().try_for_each(|file| writeln!(f, "{file}"))
    }
}

/// Where it goes, and what travels apart: the terminal where nothing is named.
pub struct Places<'a> {
    /// The directory of the sheet and the pictures.
    pub out: Option<&'a Path>,
    /// The file of the six digits.
    pub code: Option<&'a Path>,
    /// The file of the bundle's passphrase.
    pub passphrase: Option<&'a Path>,
}

/// Gives the secret to whom it is for. It is kept nowhere: what fails here is a new invite's matter.
pub fn hand_over(
    invitation: &Invitation,
    link: &Link,
    organization: &str,
    places: &Places<'_>,
    context: &Context,
) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let invite = &invitation.invite;
    let text = link.to(invitation);
    let mut files = Vec::new();
    if let Some(out) = places.out {
        let sheet = Sheet {
            organization,
            invite,
            link: &text,
            asks_for_digits: invitation.code.is_some(),
            typed: invite.server_key.map(|_| invitation.secret.expose_in_groups()),
        };
        files = write(out, &[sheet], &|_| ())?.into_iter().flatten().collect();
    }
    let digits = invitation.code.as_ref().map(|digits| digits.as_str());
    let passphrase = invitation.passphrase.as_ref().map(Passphrase::expose);
    for (file, word) in [(places.code, digits), (places.passphrase, passphrase)] {
        if let (Some(file), Some(word)) = (file, word) {
            let line = Zeroizing::new(format!("{word}\n"));
            disk::replace(file, disk::PRIVATE_FILE, line.as_bytes()).map_err(CaError::from)?;
            files.push(file.to_owned());
        }
    }
    if !ui.json && places.out.is_none() {
        show(&text, context)?;
        if invite.server_key.is_some() {
            let secret = Zeroizing::new(invitation.secret.expose_in_groups());
            let page = text.split('#').next().unwrap_or_default();
            ui.show_secret(format_args!(
                "\n  Without a camera: open {page} and type\n\n      {}\n",
                *secret
            ))
            .map_err(|error| Failure::secret(format!("the secret could not be shown: {error}")))?;
        }
    }
    let until = invite.until;
    ui.say(format!(
        "{} is invited until {until}, by the invite {}",
        invite.address, invite.id
    ));
    let digits = digits.filter(|_| places.code.is_none());
    let passphrase = passphrase.filter(|_| places.passphrase.is_none());
    for (what, word) in [("six digits", digits), ("passphrase of the file", passphrase)] {
        if let (Some(word), false) = (word, ui.json) {
            ui.show_secret(format_args!(
                "\n  The {what} for {}, to be told another way, shown only now:\n\n      {word}\n",
                invite.address,
            ))
            .map_err(|error| Failure::secret(format!("the {what} could not be shown: {error}")))?;
        }
    }
    if !ui.json {
        tell_what_is_next(invitation, places, context);
    }
    let secret = Zeroizing::new(invitation.secret.expose());
    let mut report = Report::new(invite, &text, &secret, link, &files);
    report.code = digits;
    report.passphrase = passphrase;
    match ui.json {
        true => ui.report_once(&report),
        false => ui.report_done(&report, Ok(Exit::Done)),
    }
}

/// What the operator does now: whoever has the code has the certificate.
fn tell_what_is_next(invitation: &Invitation, places: &Places<'_>, context: &Context) {
    let (ui, invite) = (&context.ui, &invitation.invite);
    let employee = &invite.address.employee;
    if places.out.is_some() {
        ui.hint(format!(
            "hand the sheet to {employee} as you would a key, and delete the files here"
        ));
    }
    ui.hint(match invite.approve {
        true => format!(
            "once the device shows four words: `pki invite approve {}`",
            invite.id
        ),
        false => format!(
            "`pki invite show {}` tells whether it was used, `pki invite cancel {}` takes it back",
            invite.id, invite.id
        ),
    });
}

/// Shows the code on the terminal, and the link below it.
fn show(link: &str, context: &Context) -> Result<(), Failure> {
    let ui = &context.ui;
    let code = Code::new(link).map_err(CaError::from)?;
    let fits = ui
        .size()
        .is_none_or(|(columns, rows)| code.columns() <= columns && code.rows() < rows);
    let drawn = match (fits, ui.colored()) {
        (false, _) => String::new(),
        (true, true) => code.to_terminal(),
        (true, false) => code.to_plain(),
    };
    ui.show_secret(format_args!("\n{drawn}\n{link}\n"))
        .map_err(|error| Failure::secret(format!("the code could not be shown: {error}")))?;
    if !fits {
        ui.warn(format!(
            "the code needs a terminal of {} × {}: write it to files with --out DIR",
            code.columns(),
            code.rows() + 1
        ));
    }
    Ok(())
}
