//! `pki issue`: issues a certificate to a device; and the way to one device that `pki renew` shares.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::bundle::{self, Code};
use crate::ca::{
    self, Asked, BundleDelivery, CaError, Delivery, Intent, Issuance, IssuanceError, KeyRequest, Leavers,
    OutputDir, PassphraseDelivery, Request,
};
use crate::home::Home;
use crate::key::Passphrase;
use crate::model::{Address, Email, Form, PersonName, Platform, Profile, Record, counted};
use crate::store::Store;

use super::issue_list;
use super::issue_many::many;
use crate::cli::clock::clock_policy;
use crate::cli::context::{Context, system_clock};
use crate::cli::delivery_args::{DeliveryArgs, Qr, codes, handover, root};
use crate::cli::error::{Exit, Failure};
use crate::cli::form;
use crate::cli::in_shell;
use crate::cli::named::Addressee;
use crate::cli::report::IssuedReport;
use crate::cli::tips;
use crate::cli::ui::Ui;
use crate::cli::words::Words;

/// Issue a certificate for a device, as a PKCS#12 bundle
///
/// The bundle's passphrase is generated and shown once, or written to --bundle-passphrase-out; send it
/// another way than the bundle. With --from, a whole list of people: who has a valid certificate is skipped,
/// who was locked out stays so.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  pki issue alice                                      alice/phone, bundle in the current directory
  pki issue alice/laptop --for macos --name \"Alice Doe\" --email alice@acme.example
  pki issue alice --qr bundle                          also as a QR code for an app that scans it
  pki issue alice --csr phone.csr                      the phone made its own key
  pki issue --from people.csv --out bundles --bundle-passphrase-out passphrases.tsv
  pki issue --from people.csv --out bundles --bundle-passphrase-out passphrases.tsv --update")]
pub struct Args {
    /// EMPLOYEE or EMPLOYEE/DEVICE
    #[arg(value_name = "ADDRESS", required_unless_present = "from", value_hint = clap::ValueHint::Other)]
    address: Option<Addressee>,
    /// A CSV file: employee,device[,name,email,for,days]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["address", "name", "email", "csr", "bundle_passphrase_fd", "bundle_passphrase_file"])]
    from: Option<PathBuf>,
    /// What the person is called
    #[arg(long)]
    name: Option<PersonName>,
    /// Her e-mail address
    #[arg(long)]
    email: Option<Email>,
    /// What the device runs [default: any]
    #[arg(long = "for", value_name = "TARGET", value_parser = Words::new(&Platform::ALL, Platform::word))]
    pub platform: Option<Platform>,
    /// How many days the certificate is good [default: the profile's; `days` in pki.toml]
    #[arg(long, value_name = "N")]
    pub days: Option<i64>,
    /// The profile [default: default_profile of pki.toml]
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Certify the key of this request (PKCS#10, PEM or DER) instead of making one
    #[arg(long, value_name = "FILE", conflicts_with_all = ["p12", "qr", "bundle_passphrase_out", "bundle_passphrase_fd", "bundle_passphrase_file"])]
    csr: Option<PathBuf>,
    /// Let in again who was offboarded, or whose listed device was revoked
    #[arg(long)]
    reissue: bool,
    /// Renew a listed device whose name, e-mail address or target the list has otherwise
    #[arg(long, conflicts_with = "address")]
    pub update: bool,
    #[command(flatten)]
    pub delivery: DeliveryArgs,
}

pub fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let home = context.open()?;
    let leavers = if args.reissue {
        Leavers::Reissue
    } else {
        Leavers::LockedOut
    };
    match &args.from {
        Some(list) => {
            let work = issue_list::work(&args, list, &home, leavers, context)?;
            many(&args.delivery, home, work, context)
        }
        None => {
            let single = Single::new(&args, &home, context)?;
            let key = single
                .request
                .as_ref()
                .map_or(KeyMade::Here, |_| KeyMade::Elsewhere);
            let consider = |_: &Home, store: &Store| single.consider(store);
            one(
                &args.delivery,
                home,
                key,
                &consider,
                Intent::Single(leavers),
                context,
            )
        }
    }
}

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

/// What is asked for one device, before the ledger is looked at.
struct Single {
    addressee: String,
    asked: Asked,
    days: Option<i64>,
    profile: Profile,
    request: Option<KeyRequest>,
    p12: Option<Form>,
}

impl Single {
    fn new(args: &Args, home: &Home, context: &Context) -> Result<Self, Failure> {
        let addressee = args
            .address
            .as_ref()
            .ok_or_else(|| Failure::usage("an address is missing"))?;
        let address = context.to_issue(home, addressee);
        address.demand_no_serial().map_err(Failure::usage)?;
        Ok(Self {
            addressee: addressee.to_string(),
            asked: Asked {
                address,
                name: args.name.clone(),
                email: args.email.clone(),
                platform: args.platform,
            },
            days: args.days,
            profile: home.profile(args.profile.as_deref().unwrap_or(&home.config().default_profile))?,
            request: args.csr.as_deref().map(read_request).transpose()?,
            p12: args.delivery.p12,
        })
    }

    fn consider(&self, store: &Store) -> Result<Considered, Failure> {
        let address = &self.asked.address;
        let is_new = store.employee(&address.employee)?.is_empty();
        if is_new {
            demand_no_file(&self.addressee)?;
        }
        let mut remarks = Vec::new();
        remarks.extend(doubt(address, is_new, &ca::mistakable(store, address)?));
        let (holder, remembered) = ca::holder(store, self.asked.clone())?;
        if !remembered.is_empty() {
            remarks.push(Remark::Told(format!(
                "remembered for {address}: {}",
                remembered.join(", ")
            )));
        }
        let key = match &self.request {
            Some(own) => own.clone(),
            None => KeyRequest::Bundle(self.p12.unwrap_or(holder.platform.form())),
        };
        let request = Request {
            holder,
            days: self.days,
            profile: self.profile.clone(),
            key,
        };
        Ok(Considered { request, remarks })
    }
}

/// A file is no device. Not asked where the ledger knows somebody of this name.
fn demand_no_file(text: &str) -> Result<(), Failure> {
    if tips::is_list(text) {
        return Err(Failure::usage(format!("{text} is a list, and no employee")).hint(tips::meant_list(text)));
    }
    if tips::has_typical_ending(text) {
        let hint = match text.ends_with(".csr") {
            true => format!(
                "did you mean `pki issue EMPLOYEE/DEVICE --csr {}`?",
                in_shell(text)
            ),
            false => tips::NOT_A_FILE.to_owned(),
        };
        return Err(Failure::usage(format!("{text} is the name of a file, and of no employee")).hint(hint));
    }
    Ok(())
}

/// The doubt whether whoever is new here is not somebody known, mistyped.
fn doubt(address: &Address, is_new_person: bool, mistakable: &[String]) -> Option<Remark> {
    if mistakable.is_empty() {
        return None;
    }
    let new = match is_new_person {
        true => address.employee.to_string(),
        false => address.to_string(),
    };
    let known = mistakable.join(", ");
    Some(Remark::Doubt {
        warning: format!("{new} is new here, and one slip away from {known}"),
        question: format!("{new} is new here, and {known} is not: is {new} meant?"),
    })
}

/// The key of a certificate signing request.
pub fn read_request(path: &std::path::Path) -> Result<KeyRequest, Failure> {
    let request = form::request(
        path,
        Some("device"),
        "make one with `openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -subj /CN=device -keyout device.key -out device.csr`",
    )?;
    Ok(KeyRequest::Own(request.public_key().clone()))
}

/// The place where the key of a certificate is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMade {
    /// Here, and delivered in a bundle with a passphrase.
    Here,
    /// By the device, which asks for a certificate.
    Elsewhere,
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
    let mut policy = clock_policy(args.confirm.as_deref())?;
    let mut show = |address: &Address, passphrase: &Passphrase| {
        ui.show_secret(format_args!(
            "\n  Passphrase of the bundle for {address}, shown only now:\n\n      {}\n",
            passphrase.expose()
        ))
    };
    if args.dry_run {
        let store = context.read(&desk.home)?;
        let mut considered = consider(&desk.home, &store)?;
        let plan = ca::plan(&store, &desk.home, &considered.request, intent, system_clock())?;
        considered.tell(true, ui)?;
        return tell_plan(&plan, context);
    }
    let passphrases = match key {
        KeyMade::Here => handover(args, &mut show, false, ui)?,
        KeyMade::Elsewhere => PassphraseDelivery::Shown(&mut show),
    };
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
    delivery.begin(forms.iter().copied().chain(usual))?;
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
    drop(issuing_passphrase);
    delivery.warm_up(&forms)?;
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
    let issuance = match plan {
        Ok(plan) => {
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
    // It is issued whether or not the old one can be looked at.
    let replaced: Vec<Record> = issuance
        .supersedes
        .iter()
        .filter_map(|serial| session.store.record(serial).ok()?)
        .collect();
    tell_issued(&issuance, &replaced, args, context);
    let published = publish(args, &mut session, &issuing, context);
    ui.report_done(&IssuedReport::from(&issuance), published)
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

fn tell_plan(plan: &ca::Plan, context: &Context) -> Result<Exit, Failure> {
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
    plan.lost()
        .iter()
        .for_each(|lost| ui.more(format!("would revoke {}: its bundle was lost", lost.serial)));
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
    not_before: crate::model::Time,
    not_after: crate::model::Time,
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
