//! Delivery into a directory on the operator's machine: a PKCS#12 bundle for each device whose key was made
//! here, the certificate alone for a device that made its own key.

use std::fs::File;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::bundle_files::{BundleFiles, Codes, Ready, RootInProfile};
use super::output_dir::OutputDir;
use super::passphrases::{Lines, PassphraseDelivery, Stored, store_passphrases};
use super::path_policy::{demand_elsewhere, demand_no_directory};
use super::secrets::{Secret, Secrets};
use super::write::put_in_place;
use super::{Delivery, Receipt, Uncommitted, Undelivered};
use crate::bundle::MobileConfig;
use crate::ca::CaError;
use crate::ca::issuance::plan::KeyRequest;
use crate::ca::publishing::owed::end_list;
use crate::ca::session::Session;
use crate::disk;
use crate::issuer::Chain;
use crate::key::Passphrase;
use crate::model::Form;

/// Delivers bundles into a directory.
pub struct BundleDelivery<'a> {
    output: &'a mut OutputDir,
    passphrases: PassphraseDelivery<'a>,
    codes: Codes,
    root: RootInProfile,
    secrets: Secrets,
    prepared: Option<Prepared>,
}

/// A batch that is prepared for delivery before it is recorded.
struct Prepared {
    /// The stems of files whose certificates are revoked by the batch: they never counted as delivered.
    void: Vec<PathBuf>,
    stems: Vec<PathBuf>,
    secrets: Vec<Option<Secret>>,
    stored: Option<Stored>,
    /// The template of the Apple profile.
    template: String,
    /// Others leave alone what this one writes while this is held.
    _at_work: Option<File>,
}

impl<'a> BundleDelivery<'a> {
    /// Delivery into this directory, with passphrases that come and go so. `codes` says whether QR codes of
    /// the bundles are drawn, `root` whether an Apple profile asks to trust the root.
    pub fn new(
        output: &'a mut OutputDir,
        passphrases: PassphraseDelivery<'a>,
        codes: Codes,
        root: RootInProfile,
    ) -> Self {
        let secrets = Secrets::new(passphrases.chosen().cloned());
        Self {
            output,
            passphrases,
            codes,
            root,
            secrets,
            prepared: None,
        }
    }

    /// The directory that the bundles are written to.
    pub fn output(&mut self) -> &mut OutputDir {
        self.output
    }

    /// The passphrase of the bundles, where a person chose it.
    pub fn chosen(&self) -> Option<&Passphrase> {
        self.passphrases.chosen().map(|chosen| &**chosen)
    }

    fn bundle_files<'c>(&self, chain: &'c Chain, template: String) -> BundleFiles<'c> {
        BundleFiles {
            chain,
            template,
            codes: self.codes,
            root: self.root,
        }
    }
}

impl Delivery for BundleDelivery<'_> {
    /// Makes passphrases and stretches them, which is where the time for a bundle goes.
    fn warm_up(&mut self, forms: &[Form]) -> Result<(), CaError> {
        self.secrets.make(forms.iter().copied())
    }

    fn expect(&mut self, forms: &[Form]) -> Result<(), CaError> {
        self.secrets.begin(forms.iter().copied())
    }

    fn prepare(
        &mut self,
        session: &Session<'_>,
        chain: &Chain,
        batch: &[Uncommitted],
    ) -> Result<(), CaError> {
        let home = &session.desk.home;
        if let Some(file) = self.passphrases.file() {
            demand_elsewhere(file, home)?;
            demand_no_directory(file)?;
        }
        self.output.make()?;
        let mut void = Vec::new();
        for lost in batch.iter().flat_map(|one| one.plan.lost()) {
            if let Some(issued) = session.store.issued(lost)? {
                let (address, serial) = (&issued.address, issued.serial);
                void.extend(self.output.stems_of(address, serial, &issued.certificate)?);
            }
        }
        let mut stems = Vec::with_capacity(batch.len());
        for one in batch {
            stems.push(self.output.stem(one.plan.address(), one.signed.serial(), &void)?);
        }
        if let Some(file) = self.passphrases.file() {
            self.output.demand_apart(file, &stems)?;
        }
        if let PassphraseDelivery::File(file) = &self.passphrases {
            // What was left of it is swept before this process is itself at work in its directory, which may
            // be the same one.
            drop(disk::at_work_on(file));
        }
        let at_work = self.output.begin(&stems);
        let template = home.template("mobileconfig.plist", MobileConfig::TEMPLATE)?;
        let bundle_files = self.bundle_files(chain, template);
        let lengths: Vec<Vec<usize>> = batch
            .par_iter()
            .map(|one| bundle_files.rehearse(one.signed.issued()))
            .collect::<Result<_, _>>()?;
        self.output.demand_room(&lengths.concat())?;
        let forms: Vec<Option<Form>> = batch.iter().map(|one| one.plan.form()).collect();
        self.secrets.make(forms.iter().copied().flatten())?;
        let take = |form: &Option<Form>| form.and_then(|form| self.secrets.take(form));
        let secrets: Vec<Option<Secret>> = forms.iter().map(take).collect();
        let lines = Lines {
            passphrases: batch
                .iter()
                .zip(&secrets)
                .filter_map(|(one, secret)| Some((one.plan.address(), secret.as_ref()?.generated.as_ref()?)))
                .collect(),
            are_made_again: batch.iter().any(|one| !one.plan.lost().is_empty()),
            first: batch.first().map(|one| one.signed.serial()),
        };
        let stored = store_passphrases(session, &self.passphrases, &lines)?;
        self.prepared = Some(Prepared {
            void,
            stems,
            secrets,
            stored,
            template: bundle_files.template,
            _at_work: at_work,
        });
        Ok(())
    }

    fn deliver(
        &mut self,
        _: &Session<'_>,
        chain: &Chain,
        batch: Vec<Undelivered>,
    ) -> Result<Vec<Receipt>, CaError> {
        let prepared = self.prepared.take();
        let Prepared {
            void,
            stems,
            secrets,
            stored,
            template,
            _at_work,
        } = prepared.expect("a batch is prepared before it is recorded");
        let (generated, keys): (Vec<_>, Vec<_>) = secrets
            .into_iter()
            .map(|secret| match secret {
                Some(secret) => (secret.generated, Some(secret.keys)),
                None => (None, None),
            })
            .unzip();
        let bundle_files = self.bundle_files(chain, template);
        let mut ready: Vec<Ready> = batch
            .par_iter()
            .zip(keys)
            .zip(&stems)
            .map(|((one, keys), stem)| {
                let issued = one.committed.issued();
                Ok(Ready {
                    stem: stem.clone(),
                    if_taken: self.output.numbered(&issued.address, issued.serial),
                    files: bundle_files.assemble(one, keys)?,
                })
            })
            .collect::<Result<_, CaError>>()?;
        void.iter().for_each(|stem| OutputDir::remove(stem));
        put_in_place(&self.output.directory, &mut ready, stored)?;
        if let PassphraseDelivery::Shown(show) = &mut self.passphrases {
            let generated = batch.iter().zip(&generated);
            for (one, passphrase) in generated.filter_map(|(one, generated)| Some((one, generated.as_ref()?)))
            {
                // A bundle whose passphrase nobody saw is not delivered.
                show(one.plan.address(), passphrase)
                    .map_err(disk::failed("written", Path::new("/dev/tty")))?;
            }
        }
        Ok(batch
            .iter()
            .zip(&ready)
            .map(|(one, ready)| receipt(one, ready))
            .collect())
    }

    fn finish(&mut self, session: &Session<'_>) {
        if matches!(self.passphrases, PassphraseDelivery::List(_)) {
            end_list(&session.desk.home);
        }
    }
}

fn receipt(one: &Undelivered, ready: &Ready) -> Receipt {
    let bundle = match &one.plan.key {
        KeyRequest::Bundle(_) => ready.files.first(),
        KeyRequest::Own(_) | KeyRequest::InMemory => None,
    };
    Receipt {
        bundle_sha256: bundle.map(|(_, octets)| Sha256::digest(octets).into()),
        files: ready.places().collect(),
    }
}
