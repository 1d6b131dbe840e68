//! Delivery into a directory on the operator's machine: a PKCS#12 bundle for each device whose key was made
//! here, the certificate alone for a device that made its own key.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::bundle_files::{BundleFiles, Codes, Ready, RootInProfile};
use super::output_dir::OutputDir;
use super::passphrases::{Lines, PassphraseDelivery, Stored, store_passphrases};
use super::path_policy::demand_elsewhere;
use super::write::put_in_place;
use super::{Delivery, Receipt, Uncommitted, Undelivered};
use crate::bundle::{BundleKeys, MobileConfig, Stretch};
use crate::ca::CaError;
use crate::ca::issuance::plan::KeyRequest;
use crate::ca::publishing::owed::end_list;
use crate::ca::session::Session;
use crate::disk;
use crate::issuer::Chain;
use crate::key::{Passphrase, os_rng};
use crate::model::Form;

/// Delivers bundles into a directory.
pub struct BundleDelivery<'a> {
    output: &'a mut OutputDir,
    passphrases: PassphraseDelivery<'a>,
    codes: Codes,
    root: RootInProfile,
    warm: HashMap<Form, Vec<Secret>>,
    prepared: Option<Prepared>,
}

/// The passphrase of one bundle and the keys that are derived from it.
struct Secret {
    /// The passphrase, where it was generated.
    generated: Option<Passphrase>,
    keys: BundleKeys,
}

/// A batch that is prepared for delivery before it is recorded.
struct Prepared {
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
        Self {
            output,
            passphrases,
            codes,
            root,
            warm: HashMap::new(),
            prepared: None,
        }
    }

    /// The directory that the bundles are written to.
    pub fn output(&mut self) -> &mut OutputDir {
        self.output
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
        let chosen = self.passphrases.chosen();
        let made: Vec<(Form, Secret)> = forms
            .par_iter()
            .map(|form| Ok((*form, secret(chosen, *form)?)))
            .collect::<Result<_, CaError>>()?;
        for (form, secret) in made {
            self.warm.entry(form).or_default().push(secret);
        }
        Ok(())
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
        }
        self.output.make()?;
        let mut stems = Vec::with_capacity(batch.len());
        for one in batch {
            stems.push(self.output.stem(one.plan.address(), one.signed.serial())?);
        }
        if let Some(file) = self.passphrases.file() {
            self.output.demand_apart(file, &stems)?;
        }
        let at_work = self.output.at_work();
        self.output.prove(batch.len())?;
        self.output.tidy(&stems);
        let template = home.template("mobileconfig.plist", MobileConfig::TEMPLATE)?;
        let bundle_files = self.bundle_files(chain, template);
        batch
            .par_iter()
            .try_for_each(|one| bundle_files.rehearse(one.signed.issued()))?;
        let warm: Vec<(Option<Form>, Option<Secret>)> = batch
            .iter()
            .map(|one| {
                let form = one.plan.form();
                (form, form.and_then(|form| self.warm.get_mut(&form)?.pop()))
            })
            .collect();
        let chosen = self.passphrases.chosen();
        let secrets: Vec<Option<Secret>> = warm
            .into_par_iter()
            .map(|(form, warm)| match (form, warm) {
                (Some(form), None) => secret(chosen, form).map(Some),
                (_, warm) => Ok(warm),
            })
            .collect::<Result<_, _>>()?;
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
        let ready: Vec<Ready> = batch
            .par_iter()
            .zip(keys)
            .zip(&stems)
            .map(|((one, keys), stem)| bundle_files.assemble(one, keys, stem))
            .collect::<Result<_, _>>()?;
        put_in_place(&self.output.directory, &ready, stored)?;
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
            .zip(ready)
            .map(|(one, ready)| receipt(one, ready))
            .collect())
    }

    fn finish(&mut self, session: &Session<'_>) {
        if matches!(self.passphrases, PassphraseDelivery::List(_)) {
            end_list(&session.desk.home);
        }
    }
}

/// The chosen passphrase, or a generated one, stretched for a bundle of this form.
fn secret(chosen: Option<&Passphrase>, form: Form) -> Result<Secret, CaError> {
    let rng = &mut os_rng();
    if let Some(chosen) = chosen {
        let keys = BundleKeys::derive(chosen, form, Stretch::Chosen, rng)?;
        return Ok(Secret {
            generated: None,
            keys,
        });
    }
    let generated = Passphrase::generate(rng);
    let keys = BundleKeys::derive(&generated, form, Stretch::Generated, rng)?;
    Ok(Secret {
        generated: Some(generated),
        keys,
    })
}

fn receipt(one: &Undelivered, ready: Ready) -> Receipt {
    let bundle = match &one.plan.key {
        KeyRequest::Bundle(_) => ready.files.first(),
        KeyRequest::Own(_) | KeyRequest::InMemory => None,
    };
    Receipt {
        bundle_sha256: bundle.map(|(_, octets)| Sha256::digest(octets).into()),
        files: ready.files.into_iter().map(|(path, _)| path).collect(),
    }
}
