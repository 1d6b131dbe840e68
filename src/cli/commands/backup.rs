//! `pki backup`: the home in one encrypted file.

use std::fmt;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::Serialize;

use crate::age::{Recipient, UnfitRecipient};
use crate::ca::{self, BackedUp, Goes, OpenedBy};
use crate::disk;
use crate::home::Home;
use crate::model::counted;
use crate::model::text::quoted;

use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::secrets::BackupSecret;

/// Back up the home: ledger, configuration and encrypted keys in one encrypted file, which is read back
///
/// It is encrypted to recipients (backup_to in pki.toml, or --to), whose identities are kept elsewhere: that
/// needs no secret here, so that a timer can do it. Or with a passphrase of its own. The keys in it keep
/// their own passphrases. The root's key is in it with --with-root alone. `age` and `tar` open it, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  age-keygen -o backup-identity.txt                on another machine: it prints the recipient
  pki backup /mnt/backups --to age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
  pki backup /mnt/backups                          to the recipients of pki.toml, from a timer
  pki backup acme.age --with-root                  with a passphrase, asked for; for the safe
  pki backup - | ssh store 'cat > acme.age'
  age -d -i backup-identity.txt acme.age | tar x   without pki")]
pub struct Args {
    /// The new file; in a directory, it gets a name of the time; `-` is stdout
    #[arg(value_name = "FILE|DIR|-")]
    out: PathBuf,
    /// Encrypt it to this recipient (age1…) instead of those of pki.toml; may be repeated
    #[arg(long, value_name = "RECIPIENT")]
    to: Vec<String>,
    /// Put the root's key into it as well, encrypted as it is
    #[arg(long)]
    with_root: bool,
    #[command(flatten)]
    secret: BackupSecret,
}

#[derive(Debug, Serialize)]
struct Report {
    /// The file; none for stdout.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    sha256: String,
    octets: u64,
    files: usize,
    events: u64,
    with_root: bool,
    /// Whom it is encrypted to; nobody where it has a passphrase.
    recipients: Vec<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => writeln!(f, "{}", file.display()),
            None => Ok(()),
        }
    }
}

pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    // Where it is said whom it is for, it need not wait until pki.toml is mended.
    let desk = match args.to.is_empty() && !args.secret.is_named() {
        true => context.desk()?,
        false => context.desk_to_revoke()?,
    };
    let is_stdout = args.out == Path::new("-");
    if is_stdout && ui.json {
        return Err(Failure::usage("--json and a backup both want stdout").hint("name a file for the backup"));
    }
    if is_stdout && std::io::stdout().is_terminal() {
        let failure = Failure::usage("a backup is no text for a terminal");
        return Err(failure.hint("name a file, or send it on: pki backup - > FILE"));
    }
    let recipients = recipients(args, &desk.home)?;
    let passphrase = match recipients.as_slice() {
        [] => Some(args.secret.new_passphrase(ui)?),
        _ => None,
    };
    let by = match &passphrase {
        Some(passphrase) => OpenedBy::Passphrase(passphrase),
        None => OpenedBy::Recipients(&recipients),
    };
    let file = (!is_stdout).then(|| in_directory(&args.out));
    let made = match &file {
        Some(file) => ca::back_up(&desk, by, args.with_root, Goes::File(file))?,
        None => ca::back_up(
            &desk,
            by,
            args.with_root,
            Goes::Stream(&mut std::io::stdout().lock()),
        )?,
    };
    tell(&made, file.as_deref(), &recipients, context);
    let report = Report {
        file,
        sha256: HEXLOWER.encode(&made.sha256),
        octets: made.octets,
        files: made.files,
        events: made.header.ledger.events,
        with_root: made.header.with_root,
        recipients: recipients.iter().map(ToString::to_string).collect(),
    };
    ui.report(&report)?;
    Ok(Exit::Done)
}

fn tell(made: &BackedUp, file: Option<&Path>, recipients: &[Recipient], context: &Context) {
    let ui = &context.ui;
    let to = match recipients.len() {
        0 => "with a passphrase".to_owned(),
        count => format!("to {}", counted(count, "recipient")),
    };
    ui.say(format!(
        "{} up to event {}, encrypted {to}; read back: SHA-256 {}",
        counted(made.files, "file"),
        made.header.ledger.events,
        HEXLOWER.encode(&made.sha256),
    ));
    ui.say(match made.header.with_root {
        true => "the root's key is in it, encrypted with the root's passphrase: keep it as you keep the root",
        false => {
            "the root's key is not in it: keep that apart, or make one more with --with-root for the safe"
        }
    });
    if file.is_some() && recipients.is_empty() {
        ui.say("write its passphrase down where the backup is not: nobody can open it without");
    }
    if let Some(error) = &made.unnoted {
        ui.warn(format!("that it was made could not be noted: {error}"));
    }
}

/// A file of its own in a directory, by the time.
fn in_directory(out: &Path) -> PathBuf {
    if !out.is_dir() {
        return out.to_owned();
    }
    let stamp: String = system_clock()
        .to_string()
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .collect();
    let mut file = out.join(format!("pki-{stamp}.age"));
    let mut count = 1;
    // Two in one second are two.
    while disk::is_taken(&file) {
        count += 1;
        file = out.join(format!("pki-{stamp}-{count}.age"));
    }
    file
}

/// Whom it is encrypted to.
fn recipients(args: &Args, home: &Home) -> Result<Vec<Recipient>, Failure> {
    if args.secret.is_named() {
        return match args.to.is_empty() {
            true => Ok(Vec::new()),
            false => Err(Failure::usage(
                "a backup is encrypted to recipients or with a passphrase, not both",
            )),
        };
    }
    if args.to.is_empty() {
        return Ok(home.config().backup_to.clone());
    }
    let read = |text: &String| {
        let read: Result<Recipient, UnfitRecipient> = text.parse();
        read.map_err(|why| {
            // A secret that was given by mistake is not repeated.
            let shown = if why == UnfitRecipient::Identity {
                "…".to_owned()
            } else {
                quoted(text)
            };
            Failure::usage(format!("--to {shown} {why}"))
        })
    };
    args.to.iter().map(read).collect()
}
