//! Issues certificates for many devices at once, for `issue --from` and `renew --expiring`, and reports them
//! as a whole.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::ca::{
    self, BundleDelivery, Delivery, Difference, Intent, Old, OutputDir, PassphraseDelivery, Request, Tally,
};
use crate::home::Home;
use crate::key::Passphrase;
use crate::model::{Address, Host, counted};

use super::forecast::{Forecast, Origin};
use super::issue_one::{keys_to_hand_out, not_handed_out, publish};
use crate::cli::context::Context;
use crate::cli::delivery_args::{DeliveryArgs, codes, handover, root};
use crate::cli::error::{Exit, Failure};
use crate::cli::invited::has_ended;
use crate::cli::report::{IssuedReport, table};

#[derive(Debug, Serialize)]
struct ManyReport {
    issued: Vec<IssuedReport>,
    already: Vec<Address>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differing: Vec<Differing>,
    failed: Vec<Failed>,
    /// Whether the devices where nothing happened have rows, too.
    #[serde(skip)]
    whole: bool,
}

/// A device whose valid certificate differs from the list.
#[derive(Debug, Clone, Serialize)]
pub struct Differing {
    /// The address of the device.
    pub address: Address,
    /// The differences.
    pub differences: Vec<Difference>,
}

impl fmt::Display for Differing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self
            .differences
            .iter()
            .map(|difference| {
                let Difference { what, has, asked } = difference;
                let has = has.as_deref().unwrap_or("none");
                format!("{what} is {has}, in the list {asked}")
            })
            .collect();
        f.write_str(&words.join("; "))
    }
}

#[derive(Debug, Serialize)]
struct Failed {
    address: Address,
    reason: String,
}

impl fmt::Display for ManyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = table(&["DEVICE", "RESULT"]);
        for issued in &self.issued {
            lines.add_row([issued.address().to_string(), issued.result()]);
        }
        for address in &self.already {
            let mut all = self.differing.iter();
            let differing = all.find(|differing| differing.address == *address);
            let result = match differing {
                Some(differing) => format!("already, but {differing}"),
                None if self.whole => "already".to_owned(),
                None => continue,
            };
            lines.add_row([address.to_string(), result]);
        }
        for failed in &self.failed {
            lines.add_row([failed.address.to_string(), format!("failed: {}", failed.reason)]);
        }
        // A nightly list that changes nothing makes no mail.
        if lines.is_empty() && !self.whole {
            return Ok(());
        }
        f.write_str(&crate::cli::report::lines(&lines))
    }
}

impl ManyReport {
    fn new(tally: &Tally, differing: Vec<Differing>, whole: bool) -> Self {
        Self {
            differing,
            whole,
            issued: tally.issued.iter().map(IssuedReport::from).collect(),
            already: tally.already.clone(),
            failed: tally
                .failed
                .iter()
                .map(|(address, reason)| Failed {
                    address: address.clone(),
                    reason: reason.clone(),
                })
                .collect(),
        }
    }
}

/// An order for many devices.
pub struct Work {
    /// The requests, each with its intent.
    pub requests: Vec<(Request, Intent)>,
    /// The source of the requests.
    pub origin: Origin,
    /// What is to be expected of them.
    pub forecast: Forecast,
    /// The devices whose certificates stay although they differ from the list.
    pub differing: Vec<Differing>,
    /// The values that nobody gave and that devices get because they or their holders had them before.
    pub remembered: BTreeMap<Address, Vec<String>>,
}

/// So many bundles a person hands out without a list of their passphrases.
const HANDFUL: usize = 5;

/// Issues to many devices, unless policy refuses one of them.
pub fn many(args: &DeliveryArgs, home: Home, work: Work, context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let Work {
        requests,
        origin,
        forecast,
        differing,
        remembered,
    } = work;
    let desk = context.desk_of(home);
    let mut policy = args.clock.policy()?;
    let bar = ui.progress("issuing", requests.len());
    let widest = requests
        .iter()
        .map(|(request, _)| request.holder.address.to_string().len());
    let width = widest.max().unwrap_or_default().max("DEVICE".len());
    let mut headed = false;
    let mut show = |address: &Address, passphrase: &Passphrase| {
        bar.suspend(|| {
            if !headed {
                let heading = "PASSPHRASE OF THE BUNDLE, SHOWN ONLY NOW";
                ui.show_secret(format_args!("\n{:width$}  {heading}", "DEVICE"))?;
                headed = true;
            }
            let address = address.to_string();
            ui.show_secret(format_args!("{address:width$}  {}", passphrase.expose()))
        })
    };
    let passphrases = handover(args, &mut show, true, ui)?;
    let are_shown = matches!(passphrases, PassphraseDelivery::Shown(_));
    forecast.demand_policy(&origin)?;
    if args.dry_run {
        OutputDir::try_out(&args.out, &desk.home)?;
        passphrases.try_out(&desk.home, &args.out, false)?;
        args.issuing.try_out(&desk.home, ui);
        forecast.tell(ui);
        tell_differing(&differing, context);
        tell_remembered(&remembered, forecast.addresses(), context);
        forecast.report(ui)?;
        return Ok(Exit::Done);
    }
    if are_shown && forecast.wanted() > HANDFUL {
        demand_patience(args, forecast.wanted(), context)?;
    }
    let mut output = OutputDir::at(&args.out, &desk.home)?;
    let root = root(args.with_root, &desk.home, ui);
    let mut delivery = BundleDelivery::new(&mut output, passphrases, codes(args.qr), root);
    // They are stretched while the key is unlocked.
    delivery.expect(forecast.first_batch())?;
    // A clock in doubt is asked about before the passphrase is.
    drop(context.session(&desk, &mut policy)?);
    if args.issuing.is_typed(&desk.home) {
        // Nobody types a passphrase for files that cannot be written.
        OutputDir::try_out(&args.out, &desk.home)?;
    }
    let (issuing, passphrase) = args.issuing.open_issuing(&desk.home, ui)?;
    let mut keys = keys_to_hand_out(&desk.home, &passphrase, context)?;
    drop(passphrase);
    let hosts = |(request, _): &(Request, Intent)| request.profile.hmac().to_vec();
    let hosts: BTreeSet<Host> = requests.iter().flat_map(hosts).collect();
    let hosts: Vec<Host> = hosts.into_iter().collect();
    if !hosts.is_empty() {
        let session = context.session(&desk, &mut policy)?;
        keys.demand(&session.store, &hosts)?;
    }
    delivery.output().make()?;
    let mut tally = ca::issue_all(&desk, policy, &issuing, &requests, &mut delivery, &mut |count| {
        bar.inc(count as u64);
    });
    bar.finish_and_clear();
    let failure = tally.stopped.take().map(Failure::from);
    let handed = match hosts.is_empty() {
        true => Ok(()),
        false => context
            .session(&desk, &mut policy)
            .and_then(|mut session| hand_out(&mut keys, &requests, &tally, &mut session, context)),
    };
    ui.say(format!(
        "issued {}, {} had a valid certificate already, {} failed",
        tally.issued.len(),
        tally.already.len(),
        tally.failed.len()
    ));
    let old = requests.iter().find_map(|(_, intent)| match intent {
        Intent::Renewal(old) | Intent::RenewalOf(_, old) => Some(*old),
        Intent::Single(_) | Intent::List(_) | Intent::Invited(_) => None,
    });
    if !tally.issued.is_empty() {
        match old {
            Some(Old::Kept) => ui.more("each old certificate stays good until it ends, unless it is revoked"),
            Some(Old::Revoked) => ui.more("the old certificates are revoked"),
            None => {}
        }
    }
    for invite in tally.issued.iter().flat_map(|issued| &issued.cancelled) {
        ui.more(has_ended(invite));
    }
    tell_differing(&differing, context);
    tell_remembered(
        &remembered,
        tally.issued.iter().map(|issued| &issued.address),
        context,
    );
    for remark in tally
        .issued
        .iter()
        .flat_map(|issued| issued.remarks.iter().map(move |r| (&issued.address, r)))
    {
        ui.warn(format!("{}: {}", remark.0, remark.1));
    }
    let outcome = match failure {
        Some(mut failure) => {
            if !tally.issued.is_empty() {
                failure.exit = Exit::Incomplete;
            }
            Err(failure.hint("mend that, then run the same command again: it goes on where it stopped"))
        }
        // Also where nothing was left to issue: an earlier run may have been cut off before it published.
        None => context
            .session(&desk, &mut policy)
            .and_then(|mut session| publish(args, &mut session, &issuing, context))
            .map_err(|mut failure| {
                if !tally.issued.is_empty() {
                    failure.exit = Exit::Incomplete;
                }
                failure
            }),
    };
    let outcome = match (outcome, handed) {
        (Err(failure), Err(other)) => {
            ui.warn(format!("shared keys were not handed out: {}", other.message));
            Err(failure)
        }
        (outcome, handed) => outcome.and_then(|exit| handed.map(|()| exit)),
    };
    let exit = ui.report_done(&ManyReport::new(&tally, differing, !ui.quiet), outcome)?;
    if tally.failed.is_empty() {
        return Ok(exit);
    }
    ui.hint("those were not issued; the others are done");
    Ok(Exit::Incomplete)
}

/// Hands out the shared keys of those who were issued to, where their profiles say so. Where one cannot be
/// handed out, the others are.
fn hand_out(
    keys: &mut ca::KeysToHandOut,
    requests: &[(Request, Intent)],
    tally: &Tally,
    session: &mut ca::Session<'_>,
    context: &Context,
) -> Result<(), Failure> {
    let issued = tally.issued.iter();
    let bundles: BTreeMap<&Address, &PathBuf> = issued
        .filter_map(|issued| Some((&issued.address, issued.files.first()?)))
        .collect();
    let mut without = Vec::new();
    for (request, _) in requests {
        let address = &request.holder.address;
        if let Some(bundle) = bundles.get(address)
            && let Err(error) = keys.hand_out(session, address, request.profile.hmac(), bundle)
        {
            without.push((address, error));
        }
    }
    for (address, error) in &without {
        context
            .ui
            .warn(format!("{address} has got no shared key: {error}"));
    }
    match without.into_iter().next() {
        Some((_, error)) => Err(not_handed_out(error)),
        None => Ok(()),
    }
}

/// Says that certificates have something otherwise than the list, and what to do about it.
fn tell_differing(differing: &[Differing], context: &Context) {
    if differing.is_empty() {
        return;
    }
    let ui = &context.ui;
    ui.warn(format!(
        "the list has name, e-mail or target otherwise than {}",
        counted(differing.len(), "certificate")
    ));
    for one in differing.iter().take(SHOWN) {
        ui.more(format!("{}: {one}", one.address));
    }
    if differing.len() > SHOWN {
        ui.more(format!("and {} more", differing.len() - SHOWN));
    }
    ui.hint("the same with --update renews them; a device that made its own key: `pki renew ADDRESS --csr FILE --name …`");
}

/// Tells what those who were issued to have been given that nobody said.
fn tell_remembered(
    remembered: &BTreeMap<Address, Vec<String>>,
    issued: impl Iterator<Item = impl Borrow<Address>>,
    context: &Context,
) {
    let told: Vec<_> = issued
        .filter_map(|address| remembered.get_key_value(address.borrow()))
        .collect();
    for (address, what) in told.iter().take(SHOWN) {
        context
            .ui
            .say(format!("remembered for {address}: {}", what.join(", ")));
    }
    if told.len() > SHOWN {
        context.ui.more(format!("and for {} more", told.len() - SHOWN));
    }
}

/// Makes sure that somebody wants to write down the passphrases of many bundles from a screen.
fn demand_patience(args: &DeliveryArgs, count: usize, context: &Context) -> Result<(), Failure> {
    let here = match args.out == Path::new(".") {
        true => ", and puts the bundles into this directory",
        false => "",
    };
    context
        .ui
        .confirm(&format!(
            "This shows {count} passphrases once, on this screen and nowhere else{here}. Go on?"
        ))
        .map_err(|failure| {
            failure.hint(
                "the same with --out bundles --bundle-passphrase-out passphrases.tsv keeps both together",
            )
        })
}

/// How many devices are told one by one.
const SHOWN: usize = 20;
