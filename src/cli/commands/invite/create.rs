//! `pki invite create`: an invite for one device, with its secret in a code to scan.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use zeroize::Zeroizing;

use super::files::{Sheet, write};
use crate::bundle::Code;
use crate::ca::{self, Asked, Asking, CaError, ClockPolicy, Desk, Invitation, NotFound, OutputDir, Replaces};
use crate::cli::clock::clock_policy;
use crate::cli::context::{Context, system_clock};
use crate::cli::directory::directory;
use crate::cli::error::{Exit, Failure};
use crate::cli::named::Addressee;
use crate::cli::report::DryRun;
use crate::cli::secrets::IssuingSecret;
use crate::cli::words::Words;
use crate::disk::{self, Shown};
use crate::home::Home;
use crate::home::config::Serve;
use crate::issuer::Devices;
use crate::model::invite_link::short_pin;
use crate::model::{Address, Email, InviteId, PersonName, Pin, Platform, Span, Time};
use crate::store::Store;

/// Invite a device: it makes its key itself, and gets its certificate for the code
///
/// The code is an address of `pki serve` with a secret that is kept nowhere. Whoever scans it first enrolls,
/// so hand it over as you would a key. An invite before for the same device is cancelled.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki invite create alice                          a code on the screen, good for a day
  pki invite create alice/laptop --for windows --expires 3d --out sheets
  pki invite create alice --code                   six digits that you tell her another way
  pki invite create alice --replace                a new phone: the old one's certificate ends with it")]
pub struct CreateArgs {
    /// EMPLOYEE or EMPLOYEE/DEVICE
    #[arg(value_name = "ADDRESS", value_hint = clap::ValueHint::Other)]
    address: Addressee,
    /// What the device runs [default: any]
    #[arg(long = "for", value_name = "TARGET", value_parser = Words::new(&Platform::ALL, Platform::word))]
    platform: Option<Platform>,
    /// What the person is called
    #[arg(long)]
    name: Option<PersonName>,
    /// Her e-mail address
    #[arg(long)]
    email: Option<Email>,
    /// How many days the certificate is good [default: the profile's; `days` in pki.toml]
    #[arg(long, value_name = "N")]
    days: Option<i64>,
    /// The profile [default: default_profile of pki.toml]
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// How long the invite is open: 30d at most
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    expires: Span,
    /// Ask for six digits as well, which travel apart: they are shown once, or written to --code-out
    #[arg(long)]
    code: bool,
    /// Compare four words with what the phone shows, and approve it: `pki invite approve`
    #[arg(long)]
    approve: bool,
    /// Write the six digits to this new file (0600)
    #[arg(long, value_name = "FILE", requires = "code")]
    code_out: Option<PathBuf>,
    /// The device has a certificate: it is revoked when the invite is redeemed
    #[arg(long)]
    replace: bool,
    /// Write a sheet to print and the code as pictures into this directory (0600), and show nothing
    #[arg(long, value_name = "DIR", value_parser = directory())]
    out: Option<PathBuf>,
    /// Check everything, say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Go on although the clock stands before the last event or far after it: --confirm CLOCK
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    #[command(flatten)]
    issuing: IssuingSecret,
}

/// The invite, for scripts.
#[derive(Serialize)]
struct Report<'a> {
    id: InviteId,
    address: &'a Address,
    link: &'a str,
    secret: &'a str,
    pin: String,
    until: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    files: Vec<String>,
}

impl fmt::Display for Report<'_> {
    /// The paths of the files, a line each: the secret is in them, or was shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.files.iter().try_for_each(|file| writeln!(f, "{file}"))
    }
}

pub fn create(args: CreateArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let home = context.open()?;
    demand_place(&args, context)?;
    let address = context.to_issue(&home, &args.address);
    address.demand_no_serial().map_err(Failure::usage)?;
    let asked = Asked {
        address,
        name: args.name.clone(),
        email: args.email.clone(),
        platform: args.platform,
    };
    let profile = home.profile(args.profile.as_deref().unwrap_or(&home.config().default_profile))?;
    let asking = |store: &Store| -> Result<Asking, Failure> {
        Ok(Asking {
            holder: ca::holder(store, asked.clone())?.0,
            days: args.days,
            profile: profile.clone(),
            open_for: args.expires,
            with_code: args.code,
            with_approval: args.approve,
            replaces: if args.replace {
                Replaces::Any
            } else {
                Replaces::Nothing
            },
        })
    };
    // Looked at once before anybody types a passphrase for what will be refused.
    let link = {
        let store = context.read(&home)?;
        ca::plan_invite(&store, &home, &asking(&store)?, system_clock())?;
        Link::of(&home, &store)?
    };
    if let Some(out) = &args.out {
        OutputDir::try_out(out, &home)?;
    }
    if args.dry_run {
        ui.say(format!("would invite {}, for {}", asked.address, args.expires));
        ui.report(&DryRun::new(vec![format!("invite {}", asked.address)]))?;
        return Ok(Exit::Done);
    }
    let devices = args.issuing.unlock(&home, ui)?;
    if let Some(out) = &args.out {
        OutputDir::at(out, &home)?.make()?;
    }
    // Its place is taken before there is anything to lose.
    if let Some(file) = &args.code_out {
        disk::create_private(file, b"").map_err(CaError::from)?;
    }
    let desk = context.desk_of(home);
    let made = make(&args, &desk, &devices, &asking, context);
    if let (Err(_), Some(file)) = (&made, &args.code_out) {
        let _ = disk::remove_if_there(file);
    }
    let invitation = made?;
    let organization = desk.home.chain().issuer().organization.clone();
    for id in &invitation.cancels {
        ui.say(format!("the invite {id} before is cancelled"));
    }
    hand_over(&invitation, &link, &organization, &args, context).or_else(|failure| {
        // Nobody has the secret, or somebody who was to get all of it has a part.
        let mut session = context.session(&desk, &mut ClockPolicy::Lenient)?;
        ca::cancel_invite(&mut session, &invitation.invite.id)?;
        Err(failure
            .hint("nothing is open: the invite is cancelled; mend that, and run the same command again"))
    })
}

/// Makes the invite.
fn make(
    args: &CreateArgs,
    desk: &Desk,
    devices: &Devices,
    asking: &dyn Fn(&Store) -> Result<Asking, Failure>,
    context: &Context,
) -> Result<Invitation, Failure> {
    let mut session = context.session(desk, &mut clock_policy(args.confirm.as_deref())?)?;
    let asking = asking(&session.store)?;
    let mut invitations = ca::invite(&mut session, devices, vec![asking])?;
    invitations
        .pop()
        .ok_or_else(|| Failure::refused("nothing was invited"))
}

/// There must be a place where the secret can go before there is one.
fn demand_place(args: &CreateArgs, context: &Context) -> Result<(), Failure> {
    let is_document = context.ui.json;
    if args.out.is_none() && !is_document && !context.ui.can_ask() {
        return Err(Failure::secret("there is no terminal to show the code on")
            .hint("write it to files with --out DIR, or print the link with --json"));
    }
    if let Some(file) = &args.code_out
        && disk::is_taken(file)
    {
        return Err(CaError::Exists(Shown(file.clone())).into());
    }
    if args.code && args.code_out.is_none() && !is_document && !context.ui.can_ask() {
        return Err(Failure::secret("there is no terminal to show the six digits on")
            .hint("write them to a file with --code-out FILE"));
    }
    Ok(())
}

/// What all links of a home have in common.
struct Link {
    host: String,
    pin: Pin,
}

impl Link {
    fn of(home: &Home, store: &Store) -> Result<Self, Failure> {
        let Serve {
            host, device_host, ..
        } = &home.config().serve;
        let Some(host) = host else {
            return Err(
                Failure::refused("pki.toml does not say where phones reach `pki serve`")
                    .hint("set `host` under [serve], and `device_host` to a server of `pki server list`"),
            );
        };
        let device = &device_host.as_ref().unwrap_or(host).host;
        let Some(server) = store.server(device)? else {
            let known = NotFound::Server(device.clone());
            return Err(Failure::from(CaError::from(known)).hint(format!(
                "devices are served with a key of the home, which is pinned in the invite: run `pki server add {device}`, or set `device_host` under [serve]"
            )));
        };
        Ok(Self {
            host: host.to_string(),
            pin: server.active.pin,
        })
    }

    /// The link of one invite: a browser sends nothing of what follows the `#`.
    fn to(&self, invitation: &Invitation) -> Zeroizing<String> {
        let secret = Zeroizing::new(invitation.secret.expose());
        Zeroizing::new(format!(
            "https://{}/i/{}#{}.{}",
            self.host,
            invitation.invite.id,
            *secret,
            short_pin(&self.pin)
        ))
    }
}

/// Gives the secret to whom it is for. It is kept nowhere: what fails here is a new invite's matter.
fn hand_over(
    invitation: &Invitation,
    link: &Link,
    organization: &str,
    args: &CreateArgs,
    context: &Context,
) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let invite = &invitation.invite;
    let text = link.to(invitation);
    let code = Code::new(&text).map_err(CaError::from)?;
    let mut files = Vec::new();
    if let Some(out) = &args.out {
        let sheet = Sheet {
            organization,
            invite,
            link: &text,
            code: &code,
            asks_for_digits: invitation.code.is_some(),
        };
        files = write(out, &sheet)?;
    }
    if let (Some(file), Some(digits)) = (&args.code_out, &invitation.code) {
        disk::replace(
            file,
            disk::PRIVATE_FILE,
            format!("{}\n", digits.as_str()).as_bytes(),
        )
        .map_err(CaError::from)?;
        files.push(file.clone());
    }
    if !ui.json && args.out.is_none() {
        show(&text, &code, context)?;
    }
    let until = invite.until;
    ui.say(format!(
        "{} is invited until {until}, by the invite {}",
        invite.address, invite.id
    ));
    if let Some(digits) = &invitation.code
        && args.code_out.is_none()
        && !ui.json
    {
        ui.show_secret(format_args!(
            "\n  The six digits for {}, to be told another way, shown only now:\n\n      {}\n",
            invite.address,
            digits.as_str()
        ))
        .map_err(|error| Failure::secret(format!("the six digits could not be shown: {error}")))?;
    }
    ui.report_done(
        &Report {
            id: invite.id,
            address: &invite.address,
            secret: &Zeroizing::new(invitation.secret.expose()),
            link: &text,
            pin: short_pin(&link.pin),
            until,
            code: invitation
                .code
                .as_ref()
                .filter(|_| args.code_out.is_none())
                .map(|digits| digits.as_str()),
            files: files.iter().map(|file| shown(file)).collect(),
        },
        Ok(Exit::Done),
    )
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}

/// Shows the code on the terminal, and the link below it.
fn show(link: &str, code: &Code, context: &Context) -> Result<(), Failure> {
    let ui = &context.ui;
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
