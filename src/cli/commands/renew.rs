//! `pki renew`: issues the next certificate to a device, or to all whose certificates expire soon.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::ca::{self, Intent, IssuanceError, KeyRequest, NotFound, Old, Request};
use crate::home::Home;
use crate::key::SoftwareKey;
use crate::model::{Address, Email, KnownBy, PersonName, Platform, Serial, Span, Time, counted};
use crate::store::Store;

use super::forecast::{First, Forecast, Origin};
use super::issue_many::{Work, many};
use super::issue_one::{Considered, KeyMade, Remark, one, read_request};
use super::renew_own;
use super::renewal::{Changes, Renewed, like};
use crate::cli::context::{Context, ahead, system_clock};
use crate::cli::delivery_args::DeliveryArgs;
use crate::cli::error::{Exit, Failure};
use crate::cli::named::Addressee;
use crate::cli::ui::Ui;
use crate::cli::words::Words;

/// Issue a newer certificate to a device that has one
///
/// Name, e-mail, target, profile and --days are remembered, unless others are given; the key is new. The old
/// certificate stays good until it ends, so that the device can change over in its own time, unless
/// --revoke-old.
///
/// With --est it is the other end: a device that renews its own certificate at `pki serve`, with no PKI here.
/// Before the last third of the certificate's life there is nothing to do, so that a timer can run it daily.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki renew alice
  pki renew alice/laptop --revoke-old
  pki renew alice --name \"Alice Roe\" --email alice.roe@acme.example --for android
  pki renew alice/tablet --csr tablet.csr
  pki renew --expiring 30d --out bundles --bundle-passphrase-out passphrases.tsv
  pki renew --expired --out bundles --bundle-passphrase-out passphrases.tsv
  pki renew --est https://enroll.acme.example --root root.crt --cert laptop.crt --key laptop.key")]
pub struct Args {
    /// EMPLOYEE or EMPLOYEE/DEVICE
    #[arg(value_name = "ADDRESS", required_unless_present_any = ["expiring", "expired", "est"], value_hint = clap::ValueHint::Other)]
    address: Option<Addressee>,
    /// Every device whose certificate ends within this time, or whose last one has ended
    #[arg(long, value_name = "DURATION", value_parser = ahead, conflicts_with_all = ["address", "csr", "bundle_passphrase_fd", "bundle_passphrase_file"])]
    expiring: Option<Span>,
    /// Every device whose last certificate has ended
    #[arg(long, conflicts_with_all = ["address", "expiring", "csr", "bundle_passphrase_fd", "bundle_passphrase_file"])]
    expired: bool,
    /// Name those, too, that enrolled by an invite or renewed by themselves, and can do so again
    #[arg(long, conflicts_with = "address")]
    all: bool,
    /// The request of a device that made its own key
    #[arg(long, value_name = "FILE", conflicts_with_all = ["p12", "qr", "bundle_passphrase_out", "bundle_passphrase_fd", "bundle_passphrase_file"])]
    csr: Option<PathBuf>,
    /// What she is called from now on
    #[arg(long, conflicts_with_all = ["expiring", "expired"])]
    name: Option<PersonName>,
    /// Her e-mail address from now on
    #[arg(long, conflicts_with_all = ["expiring", "expired"])]
    email: Option<Email>,
    /// What the device runs from now on
    #[arg(long = "for", value_name = "TARGET", value_parser = Words::new(&Platform::ALL, Platform::word), conflicts_with_all = ["expiring", "expired"])]
    platform: Option<Platform>,
    /// How many days the certificate is good [default: as was asked for when it was issued, else the
    /// profile's]
    #[arg(long, value_name = "N")]
    days: Option<i64>,
    /// Revoke the old certificate as soon as the new one is delivered
    #[arg(long)]
    revoke_old: bool,
    #[command(flatten)]
    delivery: DeliveryArgs,
    #[command(flatten)]
    own: renew_own::OwnArgs,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    SoftwareKey::prepare();
    if let Some(own) = args.own.meant() {
        return renew_own::run(&own, &args.delivery, context);
    }
    let home = context.open()?;
    let old = if args.revoke_old { Old::Revoked } else { Old::Kept };
    if args.expiring.is_none() && !args.expired {
        let addressee = args
            .address
            .as_ref()
            .ok_or_else(|| Failure::usage("an address is missing"))?;
        let address = context.existing(&home, addressee)?;
        let own = args.csr.as_deref().map(read_request).transpose()?;
        let key = own.as_ref().map_or(KeyMade::Here, |_| KeyMade::Elsewhere);
        let consider = |home: &Home, store: &Store| single(&args, &address, own.as_ref(), home, store);
        return one(
            &args.delivery,
            home,
            key,
            &consider,
            Intent::Renewal(old),
            context,
        );
    }
    let (mut requests, mut forecast) = (Vec::new(), Forecast::default());
    let own = due(&args, &home, context, &mut |request, serial, store, now| {
        let intent = Intent::RenewalOf(serial, old);
        forecast.see(&request, intent, &Origin::Ledger, &home, store, now)?;
        // A dry run tells of as many as there are, and holds none of them.
        if !args.delivery.dry_run {
            requests.push((request, intent));
        }
        Ok(())
    })?;
    own.tell(&context.ui);
    let exit = if forecast.seen() == 0 {
        if own.passed_over == 0 && !own.is_left() {
            context.ui.say(match args.expiring {
                Some(within) => format!("no certificate ends within {within}, and none has ended"),
                None => "no device is without a certificate".to_owned(),
            });
        }
        Exit::Done
    } else {
        let work = Work {
            requests,
            origin: Origin::Ledger,
            forecast,
            differing: Vec::new(),
            remembered: BTreeMap::new(),
        };
        many(&args.delivery, home, work, context)?
    };
    Ok(if exit == Exit::Done && own.is_left() {
        Exit::Incomplete
    } else {
        exit
    })
}

/// The request of the device at an address, like the one that its last certificate came from.
fn single(
    args: &Args,
    address: &Address,
    own: Option<&KeyRequest>,
    home: &Home,
    store: &Store,
) -> Result<Considered, Failure> {
    let history = store.device(address)?;
    let last = history.last().ok_or_else(|| NotFound::Device(address.clone()))?;
    let issued_here = history
        .iter()
        .rfind(|record| record.known_by == KnownBy::Issuance);
    let Renewed {
        mut request,
        shorter,
        changed,
    } = like(&Changes::from(args), store, home, issued_here.unwrap_or(last))?;
    let mut remarks: Vec<Remark> = changed
        .iter()
        .map(|difference| Remark::Told(format!("{address}: {difference}")))
        .collect();
    remarks.extend(shorter.map(|shorter| {
        Remark::Warning(format!(
            "the last certificate of {address} was for {}, and this one is for {}: profile {} says so",
            counted(shorter.had, "day"),
            shorter.gets,
            request.profile.name()
        ))
    }));
    match (own, &request.key) {
        (Some(own), _) => request.key = own.clone(),
        (None, KeyRequest::Own(_)) => return Err(IssuanceError::NeedsRequest(address.clone()).into()),
        (None, KeyRequest::Bundle(_) | KeyRequest::InMemory) => {}
    }
    Ok(Considered { request, remarks })
}

/// The devices that are due and made their own keys, which nothing can be issued to without them.
#[derive(Debug, Default)]
struct OwnKeys {
    /// Those whose requests an operator certified.
    certified: Vec<Address>,
    /// Those that enrolled by themselves, and are meant as well or can do so no more.
    enrolled: Vec<Address>,
    /// How many can renew by themselves.
    passed_over: usize,
}

impl OwnKeys {
    /// Whether there is something left for the operator to do.
    fn is_left(&self) -> bool {
        !self.certified.is_empty() || !self.enrolled.is_empty()
    }

    fn tell(&self, ui: &Ui) {
        for address in &self.certified {
            ui.warn(format!(
                "{address} made its own key: renew it with `pki renew {address} --csr FILE`"
            ));
        }
        for address in &self.enrolled {
            ui.warn(format!(
                "{address} enrolled by itself: invite it anew with `pki invite create {address} --replace`"
            ));
        }
        if self.passed_over > 0 {
            let them = if self.passed_over == 1 { "it" } else { "them" };
            ui.say(format!(
                "passed over {}: enrolled by an invite or renewed without you, and can do so again; --all names {them}",
                counted(self.passed_over, "device")
            ));
        }
    }
}

/// Takes a request, and the serial number of what it renews, by the ledger at a time.
type Take<'a> = dyn FnMut(Request, Serial, &Store, Time) -> Result<(), Failure> + 'a;

/// Makes the request of every device that is meant by `--expiring` or `--expired`, by name, and says which
/// devices must ask themselves.
fn due(args: &Args, home: &Home, context: &Context, take: &mut Take<'_>) -> Result<OwnKeys, Failure> {
    let store = context.read(home)?;
    let now = system_clock().max(store.last_time());
    let within = args.expiring.unwrap_or(Span::days(0));
    let mut found = store.by_device();
    store.unrevoked(&mut |record| {
        if ca::renewal_due(&store, &record, now, within)?.is_some() {
            found.add(&record);
        }
        Ok(())
    })?;
    let mut own = OwnKeys::default();
    let (mut shorter, mut limited) = (First::<SHOWN>::default(), First::<SHOWN>::default());
    let mut last: Option<Address> = None;
    for record in found.sorted()? {
        let record = record?;
        // A device may have several.
        if last
            .replace(record.address.clone())
            .is_some_and(|last| last == record.address)
        {
            continue;
        }
        let history = store.device(&record.address)?;
        let Some(record) = history.iter().rfind(|r| r.known_by == KnownBy::Issuance) else {
            context
                .ui
                .warn(IssuanceError::NotIssuedHere(record.address.clone()));
            context.ui.hint(format!(
                "`pki issue {0}` issues it a new one; what is used no more: `pki revoke {0}`",
                record.address
            ));
            continue;
        };
        if store
            .issued(record)?
            .is_some_and(|issued| issued.enrolled_by.is_some())
        {
            if !args.all && ca::renews_itself(&store, home, &history, record, now)? {
                own.passed_over += 1;
            } else {
                own.enrolled.push(record.address.clone());
            }
            continue;
        }
        let renews = ca::in_use(&history).unwrap_or(record).serial;
        let Renewed {
            request,
            shorter: less,
            ..
        } = like(&Changes::from(args), &store, home, record)?;
        if let Some(days) = request.days.filter(|days| *days < request.profile.days()) {
            limited.add(format!("{} ({})", record.address, counted(days, "day")));
        }
        if let Some(less) = less {
            shorter.add(format!(
                "{} ({}, not {})",
                record.address,
                counted(less.gets, "day"),
                less.had
            ));
        }
        match request.key {
            KeyRequest::Own(_) => own.certified.push(record.address.clone()),
            KeyRequest::Bundle(_) | KeyRequest::InMemory => take(request, renews, &store, now)?,
        }
    }
    if shorter.count > 0 {
        context.ui.warn(format!(
            "a shorter life than the last one, as the profile says, is for {}: {shorter}",
            counted(shorter.count, "device")
        ));
    }
    if limited.count > 0 && args.days.is_none() {
        context.ui.warn(format!(
            "{} issued for a time of {} own, which begins anew: {limited}",
            match limited.count {
                1 => "1 device was".to_owned(),
                count => format!("{count} devices were"),
            },
            if limited.count == 1 { "its" } else { "their" }
        ));
        context
            .ui
            .hint("who was to have it for that time alone: `pki revoke EMPLOYEE/DEVICE`");
    }
    Ok(own)
}

impl From<&Args> for Changes {
    fn from(args: &Args) -> Self {
        Self {
            name: args.name.clone(),
            email: args.email.clone(),
            platform: args.platform,
            days: args.days,
            p12: args.delivery.p12,
        }
    }
}

/// How many devices a warning names.
const SHOWN: usize = 5;
