//! `pki issue`: issues certificates, to one device or to a list of them.

use std::path::PathBuf;

use crate::ca::{self, Asked, Intent, KeyRequest, Leavers, Request};
use crate::home::Home;
use crate::key::SoftwareKey;
use crate::model::{Address, Email, Form, PersonName, Platform, Profile};
use crate::store::Store;

use super::issue_list::{self, Defaults};
use super::issue_many::many;
use super::issue_one::{Considered, KeyMade, Remark, one, read_request};
use crate::cli::context::Context;
use crate::cli::delivery_args::DeliveryArgs;
use crate::cli::error::{Exit, Failure};
use crate::cli::in_shell;
use crate::cli::named::Addressee;
use crate::cli::tips;
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
    SoftwareKey::prepare();
    let home = context.open()?;
    let leavers = if args.reissue {
        Leavers::Reissue
    } else {
        Leavers::LockedOut
    };
    match &args.from {
        Some(list) => {
            let defaults = Defaults {
                profile: args.profile.clone(),
                days: args.days,
                platform: args.platform,
                p12: args.delivery.p12,
                is_update: args.update,
            };
            let work = issue_list::work(&defaults, list, &home, leavers, context)?;
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
