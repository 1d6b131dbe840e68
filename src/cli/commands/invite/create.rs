//! `pki invite create`: an invite for one device, with its secret in a code to scan.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::files::is_of_an_invite;
use super::hand_over::{Places, hand_over};
use super::link::{Link, warn_unserved};
use crate::ca::{
    self, Asked, Asking, CaError, ClockPolicy, Desk, EnrollmentError, Handout, Invitation, IssuanceError,
    OutputDir, Replaces,
};
use crate::cli::clock::ClockArgs;
use crate::cli::context::{Context, system_clock};
use crate::cli::error::{Exit, Failure};
use crate::cli::invited::{has_ended, would_end};
use crate::cli::named::Addressee;
use crate::cli::place::{directory, new_file};
use crate::cli::report::DryRun;
use crate::cli::secrets::IssuingSecret;
use crate::cli::words::Words;
use crate::disk::{self, Shown};
use crate::home::Home;
use crate::issuer::Devices;
use crate::model::{Address, Email, Invite, PersonName, Platform, Profile, Span};
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
  pki invite create alice --replace                a new phone: the old one's certificate ends with it
  pki invite create --from people.csv --out sheets a sheet for each device of a list
  pki invite create alice --server-key --out sheets --bundle-passphrase-out alice.passphrase")]
pub struct CreateArgs {
    /// EMPLOYEE or EMPLOYEE/DEVICE
    #[arg(value_name = "ADDRESS", required_unless_present = "from", value_hint = clap::ValueHint::Other)]
    address: Option<Addressee>,
    /// Invite each device of a CSV file: employee,device[,name,email,for,days]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["address", "name", "email"])]
    pub from: Option<PathBuf>,
    /// What the device runs [default: any]
    #[arg(long = "for", value_name = "TARGET", value_parser = Words::new(&Platform::ALL, Platform::word))]
    pub platform: Option<Platform>,
    /// What the person is called
    #[arg(long)]
    name: Option<PersonName>,
    /// Her e-mail address
    #[arg(long)]
    email: Option<Email>,
    /// How many days the certificate is good [default: the profile's; `days` in pki.toml]
    #[arg(long, value_name = "N")]
    pub days: Option<i64>,
    /// The profile [default: default_profile of pki.toml]
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// How long the invite is open: 30d at most
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    pub expires: Span,
    /// Ask for six digits as well, which travel apart: they are shown once, or written to --code-out
    #[arg(long)]
    pub code: bool,
    /// Compare four words with what the phone shows, and approve it: `pki invite approve`
    #[arg(long)]
    approve: bool,
    /// Make the key here, for old systems and browsers without JavaScript: the page hands out a file, whose
    /// passphrase is shown once, or written to --bundle-passphrase-out
    #[arg(long, conflicts_with = "from")]
    server_key: bool,
    /// Write the passphrase of that file to this new file (0600)
    #[arg(long, value_name = "FILE", value_parser = new_file(), requires = "server_key")]
    bundle_passphrase_out: Option<PathBuf>,
    /// Write the six digits to this new file (0600)
    #[arg(long, value_name = "FILE", value_parser = new_file(), requires = "code")]
    pub code_out: Option<PathBuf>,
    /// The device has a certificate: it is revoked when the invite is redeemed
    #[arg(long)]
    pub replace: bool,
    /// Write a sheet to print and the code as pictures into this directory (0600), and show nothing
    #[arg(long, value_name = "DIR", value_parser = directory())]
    pub out: Option<PathBuf>,
    /// Check everything, say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub clock: ClockArgs,
    #[command(flatten)]
    pub issuing: IssuingSecret,
}

impl CreateArgs {
    /// The profile of the certificates.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub fn profile_of(&self, home: &Home) -> Result<Profile, Failure> {
        Ok(home.profile(self.profile.as_deref().unwrap_or(&home.config().default_profile))?)
    }

    /// An invite for this device, on the terms of the command line.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn asking(
        &self,
        asked: Asked,
        days: Option<i64>,
        profile: &Profile,
        store: &Store,
    ) -> Result<Asking, Failure> {
        Ok(Asking {
            holder: ca::holder(store, asked)?.0,
            days,
            profile: profile.clone(),
            open_for: self.expires,
            with_code: self.code,
            with_approval: self.approve,
            replaces: match self.replace {
                true => Replaces::Any,
                false => Replaces::Nothing,
            },
        })
    }

    /// What travels apart has new files of its own, where nobody else reads.
    ///
    /// # Errors
    /// Where a file for it is there, is to be another one of the invite, or cannot be made.
    pub fn demand_new_files(&self, home: &Home) -> Result<(), Failure> {
        let out = self.out.as_deref().map(ca::real);
        let mut places = Vec::new();
        for file in self.apart() {
            let place = ca::real(file);
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let is_sheet = place.parent() == out.as_deref() && is_of_an_invite(&name.to_ascii_lowercase());
            if is_sheet || places.contains(&place) {
                let message = format!("{} would be two files of the invite", file.display());
                return Err(
                    Failure::usage(message).hint("what travels apart needs a file with a name of its own")
                );
            }
            places.push(place);
            if disk::is_taken(file) && !is_ours(file) {
                return Err(CaError::Exists(Shown(file.clone())).into());
            }
            ca::demand_new_file(file, self.out.as_deref(), home)?;
        }
        Ok(())
    }

    /// The files for what travels apart.
    fn apart(&self) -> impl Iterator<Item = &PathBuf> {
        self.code_out.iter().chain(&self.bundle_passphrase_out)
    }
}

/// Whether a file is the place that a run which was killed had taken: nothing is in it, and nobody else may
/// read it.
fn is_ours(file: &Path) -> bool {
    let metadata = std::fs::symlink_metadata(file);
    metadata.is_ok_and(|metadata| {
        metadata.is_file() && metadata.len() == 0 && metadata.mode() & 0o7777 == disk::PRIVATE_FILE
    })
}

/// Invites one device.
pub fn create(args: &CreateArgs, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let home = context.open()?;
    let addressee = args
        .address
        .as_ref()
        .ok_or_else(|| Failure::usage("an address is missing"))?;
    let address = context.to_issue(&home, addressee);
    address.demand_no_serial().map_err(Failure::usage)?;
    let asked = Asked {
        address,
        name: args.name.clone(),
        email: args.email.clone(),
        platform: args.platform,
    };
    let profile = args.profile_of(&home)?;
    let asking = |store: &Store| args.asking(asked.clone(), args.days, &profile, store);
    // Looked at once before anybody types a passphrase for what will be refused.
    let (link, before) = {
        let store = context.read(&home)?;
        let now = system_clock();
        let plan = ca::plan_invite(&store, &home, &asking(&store)?, now);
        plan.map_err(|why| no_invite(why, &asked.address))?;
        let before = ca::open_of_device(&store, &asked.address, now)?;
        (Link::of(&home, &store)?, before)
    };
    demand_what_is_told(args, &home)?;
    let place = demand_place(args, context);
    if !args.dry_run {
        place?;
    } else if let Err(why) = place {
        ui.would_be_refused(&why);
    }
    if let Some(out) = &args.out {
        OutputDir::try_out(out, &home)?;
    }
    if args.dry_run {
        args.issuing.try_out(&home, ui);
        return tell_what_would_be(args, &asked.address, &before, context);
    }
    let (desk, invitations) = make(args, home, &|store| Ok(vec![asking(store)?]), context)?;
    let [invitation] = invitations.as_slice() else {
        return Err(Failure::refused("nothing was invited"));
    };
    let organization = &desk.home.chain().issuer().organization;
    for before in &invitation.cancels {
        ui.say(has_ended(before));
    }
    let places = Places {
        out: args.out.as_deref(),
        code: args.code_out.as_deref(),
        passphrase: args.bundle_passphrase_out.as_deref(),
    };
    hand_over(invitation, &link, organization, &places, context)
        .or_else(|failure| withdraw(&desk, &invitations, failure, context))
}

fn tell_what_would_be(
    args: &CreateArgs,
    address: &Address,
    before: &[Invite],
    context: &Context,
) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let mut would = vec![format!("invite {address}")];
    if args.server_key {
        would.push("make its key here, and issue its certificate now".into());
    }
    would.extend(before.iter().map(would_end));
    if let Some(out) = &args.out {
        would.push(format!(
            "write a sheet and the code as pictures into {}",
            out.display()
        ));
    }
    would.extend(args.apart().map(|file| format!("write {}", file.display())));
    ui.say(format!("would invite {address}, for {}", args.expires));
    would[1..]
        .iter()
        .for_each(|would| ui.more(format!("would {would}")));
    ui.report(&DryRun::new(would))?;
    Ok(Exit::Done)
}

/// The failure where a device cannot be invited: one that has a certificate can be, in its place, and whoever
/// has left comes back by `pki issue`.
fn no_invite(why: CaError, address: &Address) -> Failure {
    let hint = if let CaError::Issuance(IssuanceError::AlreadyValid { .. }) = &why {
        format!(
            "for a new phone, or to have it enroll anew: `pki invite create {address} --replace`, which revokes this one once the invite is used"
        )
    } else if let CaError::Issuance(IssuanceError::Offboarded { employee, .. }) = &why {
        format!("if {employee} is back: `pki issue {address} --reissue`; an invite lets nobody back in")
    } else {
        return why.into();
    };
    Failure::from(why).hint(hint)
}

/// Makes the invites: all of them, or none. Their places are there then, and the file for the six digits.
///
/// # Errors
/// Where one of them is refused, or nothing can be recorded.
pub fn make(
    args: &CreateArgs,
    home: Home,
    askings: &dyn Fn(&Store) -> Result<Vec<Asking>, Failure>,
    context: &Context,
) -> Result<(Desk, Vec<Invitation>), Failure> {
    warn_unserved(&home, context);
    let devices = args.issuing.unlock(&home, &context.ui)?;
    if let Some(out) = &args.out {
        OutputDir::at(out, &home)?.make()?;
    }
    take_places(args)?;
    let desk = context.desk_of(home);
    let recorded = match args.server_key {
        true => record_with_key(args, &desk, &devices, askings, context),
        false => record(args, &desk, &devices, askings, context),
    };
    if recorded.is_err() {
        for file in args.apart() {
            let _ = disk::remove_if_there(file);
        }
    }
    recorded.map(|invitations| (desk, invitations))
}

/// Takes the places of what travels apart, before there is anything to lose: all of them, or none.
fn take_places(args: &CreateArgs) -> Result<(), CaError> {
    for file in args.apart().filter(|file| is_ours(file)) {
        disk::remove_if_there(file)?;
    }
    let mut taken = Vec::new();
    for file in args.apart() {
        if let Err(why) = disk::create_private(file, b"") {
            for file in taken {
                let _ = disk::remove_if_there(file);
            }
            return Err(why.into());
        }
        taken.push(file);
    }
    Ok(())
}

/// Records an invite with the certificate whose bundle it hands out.
fn record_with_key(
    args: &CreateArgs,
    desk: &Desk,
    devices: &Devices,
    askings: &dyn Fn(&Store) -> Result<Vec<Asking>, Failure>,
    context: &Context,
) -> Result<Vec<Invitation>, Failure> {
    let first = |store: &Store| -> Result<Asking, Failure> {
        let asking = askings(store)?.pop();
        asking.ok_or_else(|| Failure::refused("nothing was invited"))
    };
    // The passphrase is stretched while nobody waits for the home.
    let form = first(&context.read(&desk.home)?)?.holder.platform.form();
    let handout = Handout::of(form)?;
    let mut session = context.session(desk, &mut args.clock.policy()?)?;
    let asking = first(&session.store)?;
    let invitation = ca::invite_by_bundle(&mut session, devices, asking, handout)?;
    Ok(vec![invitation])
}

fn record(
    args: &CreateArgs,
    desk: &Desk,
    devices: &Devices,
    askings: &dyn Fn(&Store) -> Result<Vec<Asking>, Failure>,
    context: &Context,
) -> Result<Vec<Invitation>, Failure> {
    let mut session = context.session(desk, &mut args.clock.policy()?)?;
    let askings = askings(&session.store)?;
    Ok(ca::invite(&mut session, devices, askings)?)
}

/// Takes back what could not be handed over: nobody has the secrets, or somebody who was to get all of one
/// has a part.
pub fn withdraw(
    desk: &Desk,
    invitations: &[Invitation],
    failure: Failure,
    context: &Context,
) -> Result<Exit, Failure> {
    let mut session = context.session(desk, &mut ClockPolicy::Lenient)?;
    ca::withdraw_invites(&mut session, invitations)?;
    let cancelled = match invitations {
        [_] => "the invite is cancelled",
        _ => "the invites are cancelled",
    };
    Err(failure.hint(format!(
        "nothing is open: {cancelled}; mend that, and run the same command again"
    )))
}

/// What is told of the invite must make sense, and have places of its own.
fn demand_what_is_told(args: &CreateArgs, home: &Home) -> Result<(), Failure> {
    if args.server_key && args.approve {
        return Err(CaError::from(EnrollmentError::NothingToCompare).into());
    }
    args.demand_new_files(home)
}

/// There must be a place where each secret can go before there is one.
fn demand_place(args: &CreateArgs, context: &Context) -> Result<(), Failure> {
    if context.ui.json || context.ui.can_ask() {
        return Ok(());
    }
    let is_untold = |is_asked: bool, file: &Option<PathBuf>| is_asked && file.is_none();
    let (what, instead) = if args.out.is_none() {
        (
            "the code",
            "write it to files with --out DIR, or print the link with --json",
        )
    } else if is_untold(args.server_key, &args.bundle_passphrase_out) {
        (
            "the bundle's passphrase",
            "write it to a file with --bundle-passphrase-out FILE",
        )
    } else if is_untold(args.code, &args.code_out) {
        ("the six digits", "write them to a file with --code-out FILE")
    } else {
        return Ok(());
    };
    Err(Failure::secret(format!("there is no terminal to show {what} on")).hint(instead))
}
