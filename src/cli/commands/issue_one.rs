//! Issues to one device, for `pki issue` and `pki renew`: the request is looked at before a passphrase is
//! asked for, and decided under the lock.

use std::fmt;

use serde::Serialize;

use crate::bundle::{self, Code};
use crate::ca::{
    self, BundleDelivery, CaError, Delivery, Intent, Issuance, IssuanceError, KeyRequest, KeysToHandOut,
    OutputDir, PassphraseDelivery, Request,
};
use crate::home::Home;
use crate::key::Passphrase;
use crate::model::{Address, Form, Host, Platform, Record, Status, Time, counted};
use crate::store::Store;

use crate::cli::context::{Context, system_clock};
use crate::cli::delivery_args::{DeliveryArgs, Qr, codes, handover, root};
use crate::cli::error::{Exit, Failure};
use crate::cli::handed_in;
use crate::cli::invited::{has_ended, would_end};
use crate::cli::report::IssuedReport;
use crate::cli::ui::Ui;

/// A request for one device, made out with what the ledger knows, and what whoever asks should hear of that.
pub struct Considered {
    /// The request.
    pub request: Request,
    /// The notices to print before it is carried out.
    pub remarks: Vec<Remark>,
}

/// A notice about a request, given before it is carried out.
pub enum Remark {
    /// Something that was remembered, or is new.
    Told(String),
    /// Something that the person who asks may not expect.
    Warning(String),
    /// Something that is likely a slip: a script is warned, and goes on; a person is asked.
    Doubt {
        /// What a script is told.
        warning: String,
        /// What a person is asked.
        question: String,
    },
}

impl Considered {
    /// Says what there is to say, once.
    ///
    /// # Errors
    /// Where a person says that it is not meant.
    fn tell(&mut self, is_dry_run: bool, ui: &Ui) -> Result<(), Failure> {
        for remark in self.remarks.drain(..) {
            match remark {
                Remark::Told(what) => ui.say(what),
                Remark::Warning(what) => ui.warn(what),
                Remark::Doubt { question, .. } if ui.can_ask() && !is_dry_run => ui.confirm(&question)?,
                Remark::Doubt { warning, .. } => ui.warn(warning),
            }
        }
        Ok(())
    }
}

/// The place where the key of a certificate is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMade {
    /// Here, and delivered in a bundle with a passphrase.
    Here,
    /// By the device, which asks for a certificate.
    Elsewhere,
}

/// The key of a certificate signing request.
pub fn read_request(path: &std::path::Path) -> Result<KeyRequest, Failure> {
    let request = handed_in::request(
        path,
        Some("device"),
        "make one with `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=device -keyout device.key -out device.csr`",
    )?;
    Ok(KeyRequest::Own(request.public_key().clone()))
}

/// Issues to one device what `consider` makes of the request by what the ledger knows.
///
/// Where somebody is asked for something, the ledger is looked at once before, so that nobody types a
/// passphrase for a request that will be refused; the index is closed again meanwhile, since an open one
/// keeps others out. A script has its request considered under the lock alone: opening the index is a good
/// part of what it waits for.
pub fn one(
    args: &DeliveryArgs,
    home: Home,
    key: KeyMade,
    consider: &dyn Fn(&Home, &Store) -> Result<Considered, Failure>,
    intent: Intent,
    context: &Context,
) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let desk = context.desk_of(home);
    let mut policy = args.clock.policy()?;
    let mut show = |address: &Address, passphrase: &Passphrase| {
        ui.show_secret(format_args!(
            "\n  Passphrase of the bundle for {address}, shown only now:\n\n      {}\n",
            passphrase.expose()
        ))
    };
    let passphrases = match key {
        KeyMade::Here => handover(args, &mut show, false, ui)?,
        KeyMade::Elsewhere => PassphraseDelivery::Shown(&mut show),
    };
    if args.dry_run {
        let store = context.read(&desk.home)?;
        let mut considered = consider(&desk.home, &store)?;
        let plan = ca::plan(&store, &desk.home, &considered.request, intent, system_clock())?;
        let hosts = considered.request.profile.hmac().to_vec();
        for host in &hosts {
            ca::hmac_host(&store, host)?;
        }
        considered.tell(true, ui)?;
        OutputDir::try_out(&args.out, &desk.home)?;
        passphrases.try_out(&desk.home, &args.out, !plan.lost().is_empty())?;
        args.issuing.try_out(&desk.home, ui);
        // Whoever made its key is given a certificate alone.
        let handed_out = match key {
            KeyMade::Here => hosts,
            KeyMade::Elsewhere => Vec::new(),
        };
        return tell_plan(&plan, &handed_out, context);
    }
    let is_typed = args.issuing.is_typed(&desk.home);
    let is_chosen = matches!(passphrases, PassphraseDelivery::Chosen(_));
    let mut is_told = false;
    let mut forms = Vec::new();
    if is_typed || is_chosen || ui.can_ask() {
        let (mut considered, plan) = {
            let store = context.read(&desk.home)?;
            let considered = consider(&desk.home, &store)?;
            let plan = ca::plan(&store, &desk.home, &considered.request, intent, system_clock());
            (considered, plan)
        };
        match plan {
            Ok(plan) => {
                considered.tell(false, ui)?;
                is_told = true;
                forms.extend(plan.form());
            }
            // It is handed out again.
            Err(CaError::Issuance(IssuanceError::AlreadyValid { .. })) if key == KeyMade::Elsewhere => {}
            Err(error) if is_typed => return Err(error.into()),
            // Without a passphrase to type the lock decides, and says how far the publication is.
            Err(_) => {}
        }
    }
    if is_typed {
        OutputDir::try_out(&args.out, &desk.home)?;
    }
    let mut output = OutputDir::at(&args.out, &desk.home)?;
    let root = root(args.with_root, &desk.home, ui);
    let mut delivery = BundleDelivery::new(&mut output, passphrases, codes(args.qr), root);
    // What a script asks for is known under the lock alone, and is of this form as a rule.
    let usual = (key == KeyMade::Here && forms.is_empty()).then(|| args.p12.unwrap_or(Platform::Any.form()));
    let expected: Vec<Form> = forms.iter().copied().chain(usual).collect();
    delivery.expect(&expected)?;
    let (issuing, issuing_passphrase) = args.issuing.open_issuing(&desk.home, ui)?;
    if let Some(chosen) = delivery.chosen()
        && chosen.same_as(&issuing_passphrase)
    {
        return Err(
            Failure::refused("the passphrase of the bundle is the one of the issuing key").hint(
                "whoever is given it could issue certificates: choose another, or let one be generated",
            ),
        );
    }
    let mut keys = keys_to_hand_out(&desk.home, &issuing_passphrase, context)?;
    drop(issuing_passphrase);
    delivery.warm_up(&expected)?;
    let mut session = context.session(&desk, &mut policy)?;
    // Somebody else may have changed something while a passphrase was typed.
    let mut considered = consider(&desk.home, &session.store)?;
    if is_told {
        considered.remarks.clear();
    }
    let plan = ca::plan(
        &session.store,
        &desk.home,
        &considered.request,
        intent,
        session.now,
    );
    // All of them, and not the last one alone.
    let mut let_in = session.store.device(&considered.request.holder.address)?;
    let_in.retain(|old| matches!(old.status(session.now), Status::Valid | Status::Superseded));
    let hosts = considered.request.profile.hmac().to_vec();
    let issuance = match plan {
        Ok(plan) => {
            keys.demand(&session.store, &hosts)?;
            considered.tell(false, ui)?;
            match ca::issue(&mut session, &issuing, vec![plan], &mut delivery) {
                Ok(issued) => issued.into_iter().next(),
                Err(error) => {
                    warn_if_behind(&session, context);
                    return Err(error.into());
                }
            }
        }
        Err(error @ CaError::Issuance(IssuanceError::AlreadyValid { .. })) => {
            let again = ca::hand_out_again(&session, &considered.request, delivery.output())?;
            if again.is_none() {
                warn_if_behind(&session, context);
                return Err(error.into());
            }
            ui.say("this key has a valid certificate already; here it is again");
            again
        }
        Err(error) => return Err(error.into()),
    };
    let issuance = issuance.ok_or_else(|| Failure::new(Exit::Bug, "bug", "nothing was issued"))?;
    // It is issued whether or not the old ones can be looked at.
    let replaced: Vec<Record> = let_in
        .iter()
        .filter_map(|old| session.store.record(&old.serial).ok()?)
        .collect();
    tell_issued(&issuance, &replaced, args, context);
    let handed = match issuance.files.first() {
        Some(bundle) => keys.hand_out(&mut session, &issuance.address, &hosts, bundle),
        None => Ok(Vec::new()),
    };
    let published = publish(args, &mut session, &issuing, context);
    let mut report = IssuedReport::from(&issuance);
    let outcome = match handed {
        Ok(files) => {
            report.add(files);
            published
        }
        Err(error) => Err(not_handed_out(error)),
    };
    ui.report_done(&report, outcome)
}

/// The shared keys of the hosts that a profile of the home names, opened. Which profile is meant is known
/// under the lock alone.
pub fn keys_to_hand_out(
    home: &Home,
    passphrase: &Passphrase,
    context: &Context,
) -> Result<KeysToHandOut, Failure> {
    let mut keys = KeysToHandOut::default();
    let hosts = home.hmac_hosts();
    if !hosts.is_empty() {
        keys.open(home, &context.read(home)?, &hosts, passphrase);
    }
    Ok(keys)
}

/// The failure where a certificate was issued and a shared key not handed out.
pub fn not_handed_out(error: CaError) -> Failure {
    let mut failure = Failure::from(error);
    failure.exit = Exit::Incomplete;
    failure
        .hint("the certificate is issued; `pki hmac show HOST ADDRESS --out FILE` hands out the shared key")
}

/// An earlier run may have been cut off between delivering and publishing: the same command is refused now,
/// and will not finish it.
fn warn_if_behind(session: &ca::Session<'_>, context: &Context) {
    let home = &session.desk.home;
    if home.config().publish_on_issue && ca::behind(session).is_ok_and(|reasons| !reasons.is_empty()) {
        context
            .ui
            .warn("the publication is older than the ledger: run `pki publish`");
    }
}

/// Publishes what was issued, unless that is left to a later `pki publish`.
pub fn publish(
    args: &DeliveryArgs,
    session: &mut ca::Session<'_>,
    issuing: &crate::issuer::Devices,
    context: &Context,
) -> Result<Exit, Failure> {
    if args.no_publish || !session.desk.home.config().publish_on_issue {
        return Ok(Exit::Done);
    }
    context.publish_change(session, issuing)
}

fn tell_plan(plan: &ca::Plan, handed_out: &[Host], context: &Context) -> Result<Exit, Failure> {
    let ui = &context.ui;
    let draft = plan.draft();
    ui.say(format!(
        "would issue {}, good until {}",
        plan.address(),
        draft.validity().not_after.date()
    ));
    if let Some(common_name) = &draft.subject().common_name {
        ui.more(format!(
            "O={}, UID={}, CN={common_name}",
            draft.subject().organization,
            draft.subject().uid
        ));
    }
    draft.remarks().iter().for_each(|remark| ui.more(remark));
    for host in handed_out {
        ui.more(format!("would write its shared key for {host} beside the bundle"));
    }
    plan.lost()
        .iter()
        .for_each(|lost| ui.more(format!("would revoke {}: its bundle was lost", lost.serial)));
    plan.retires()
        .iter()
        .for_each(|old| ui.more(format!("would revoke {old}, which it replaces")));
    plan.cancels()
        .iter()
        .for_each(|invite| ui.more(format!("would {}", would_end(invite))));
    ui.report(&Planned {
        address: plan.address().clone(),
        not_before: draft.validity().not_before,
        not_after: draft.validity().not_after,
        dry_run: true,
    })?;
    Ok(Exit::Done)
}

#[derive(Debug, Serialize)]
struct Planned {
    address: Address,
    not_before: Time,
    not_after: Time,
    dry_run: bool,
}

impl fmt::Display for Planned {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

fn tell_issued(issuance: &Issuance, replaced: &[Record], args: &DeliveryArgs, context: &Context) {
    let ui = &context.ui;
    if issuance.lost > 0 {
        ui.say(format!(
            "revoked {} whose bundle was lost",
            counted(issuance.lost, "earlier certificate")
        ));
    }
    ui.say(format!(
        "issued {}, good until {}",
        issuance.address,
        issuance.validity.not_after.date()
    ));
    for old in replaced {
        ui.more(match old.revocation() {
            Some(_) => format!("the old certificate {} is revoked", old.serial),
            None => format!(
                "the old certificate stays good until {}, unless it is revoked: pki revoke {}",
                old.validity.not_after.date(),
                old.serial
            ),
        });
    }
    issuance
        .cancelled
        .iter()
        .for_each(|invite| ui.more(has_ended(invite)));
    issuance.remarks.iter().for_each(|remark| ui.warn(remark));
    let Some(form) = issuance.form else {
        ui.hint("give the certificate to the device that made the request");
        return;
    };
    ui.more(format!("opens on {}", issuance.platform.opens_on(form)));
    if let Some(path) = &args.bundle_passphrase_out {
        ui.more(format!("its passphrase is in {}", path.display()));
    }
    if args.qr == Qr::Bundle && ui.can_ask() {
        draw(issuance, context);
    }
    ui.hint("send the file to the device and its passphrase another way; then delete the file here");
    ui.hint(format!("if the device is lost: pki revoke {}", issuance.address));
}

/// Draws the code in the terminal, where it fits.
fn draw(issuance: &Issuance, context: &Context) {
    let ui = &context.ui;
    let read = issuance.files.first().and_then(|file| std::fs::read(file).ok());
    let Some(code) = read.and_then(|p12| Code::new(&bundle::credential(&p12)).ok()) else {
        return;
    };
    match ui.size() {
        Some((columns, rows)) if columns >= code.columns() && rows > code.rows() => {
            // The code is in the .qr.png as well.
            let drawn = if ui.colored() { code.to_terminal() } else { code.to_plain() };
            let _ = ui.show_secret(format_args!("{drawn}"));
        }
        Some((columns, rows)) => ui.more(format!(
            "the QR code needs a terminal of {} × {} (this one has {columns} × {rows}): open the .qr.png instead",
            code.columns(),
            code.rows() + 1,
        )),
        None => {}
    }
}
