//! The flags for the delivery of bundles and passphrases, which `issue` and `renew` have in common, and their
//! evaluation.

use std::path::PathBuf;
use std::sync::Arc;

use super::clock::ClockArgs;
use super::error::Failure;
use super::place::{directory, new_file};
use super::secrets::{BundleSecret, IssuingSecret};
use super::ui::Ui;
use super::words::Words;
use crate::ca::{Codes, PassphraseDelivery, RootInProfile};
use crate::home::Home;
use crate::key::Passphrase;
use crate::model::{Address, Form};

/// Where bundles go and how they look: the same for `issue` and `renew`.
#[derive(Debug, clap::Args)]
pub struct DeliveryArgs {
    /// The directory for the files
    #[arg(long, value_name = "DIR", value_parser = directory(), default_value = ".")]
    pub out: PathBuf,
    /// Write the generated passphrase to this new file (0600); with several devices a line
    /// ADDRESS<TAB>PASSPHRASE is appended for each
    #[arg(long, value_name = "FILE", value_parser = new_file())]
    pub bundle_passphrase_out: Option<PathBuf>,
    /// The bundle's encryption [default: what the target opens]
    #[arg(long, value_name = "FORM", value_parser = Words::new(&Form::ALL, Form::word))]
    pub p12: Option<Form>,
    /// Also as a QR code
    #[arg(long, value_name = "WHAT", default_value = "none")]
    pub qr: Qr,
    /// Let an Apple profile ask to trust the root, too
    #[arg(long)]
    pub with_root: bool,
    /// Leave publishing to the next `pki publish`
    #[arg(long)]
    pub no_publish: bool,
    /// Check everything, say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub clock: ClockArgs,
    #[command(flatten)]
    pub bundle: BundleSecret,
    #[command(flatten)]
    pub issuing: IssuingSecret,
}

/// What goes into a QR code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Qr {
    /// The whole bundle: PKI1: and its base45 (RFC 9285)
    Bundle,
    /// No QR code
    None,
}

/// Decides where passphrases will come from and go, before anything is done. What would be done needs no
/// terminal to be told.
pub fn handover<'a>(
    args: &DeliveryArgs,
    show: &'a mut dyn FnMut(&Address, &Passphrase) -> std::io::Result<()>,
    several: bool,
    ui: &Ui,
) -> Result<PassphraseDelivery<'a>, Failure> {
    match (args.bundle.chosen()?, &args.bundle_passphrase_out) {
        (Some(_), Some(_)) => Err(Failure::usage(
            "a chosen passphrase need not be written to --bundle-passphrase-out",
        )),
        (Some(_), None) if several => Err(Failure::usage(
            "several bundles cannot share one chosen passphrase",
        )),
        (Some(chosen), None) => Ok(PassphraseDelivery::Chosen(Arc::new(chosen))),
        (None, Some(path)) if several => Ok(PassphraseDelivery::List(path.clone())),
        (None, Some(path)) => Ok(PassphraseDelivery::File(path.clone())),
        (None, None) if ui.can_ask() => Ok(PassphraseDelivery::Shown(show)),
        (None, None) => {
            let refused = Failure::secret("there is no terminal to show the bundle's passphrase on")
                .hint("give --bundle-passphrase-out FILE (or --bundle-passphrase-file for one of your own)");
            if !args.dry_run {
                return Err(refused);
            }
            ui.would_be_refused(&refused);
            Ok(PassphraseDelivery::Shown(show))
        }
    }
}

/// Whether QR codes are drawn.
pub fn codes(qr: Qr) -> Codes {
    match qr {
        Qr::Bundle => Codes::Drawn,
        Qr::None => Codes::None,
    }
}

/// Whether an Apple profile asks to trust the root. A root without name constraints is trusted for any name.
pub fn root(with_root: bool, home: &Home, ui: &Ui) -> RootInProfile {
    if !with_root {
        return RootInProfile::Omitted;
    }
    if home.chain().root().name_constraints().is_none() {
        ui.warn("the root says nothing of names: to a phone that trusts it whoever has its key is any server there is");
    }
    RootInProfile::Included
}
