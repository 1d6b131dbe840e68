//! Carrying out plans: keys, signatures, one commit, bundles on disk, and the event that says they are there.
//!
//! Whatever moment a kill comes at, the same command again ends with a bundle that opens: before the commit nothing has happened; after
//! it the certificate is *undelivered* until its bundle lies under its final name, synced and read back, and is revoked and
//! replaced by the next try.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::OperateError;
use super::issue::{KeyRequest, Plan, Request};
use super::session::Session;
use crate::authority::{Chain, Issuing, Order};
use crate::bundle::{self, Code, Contents, MobileConfig, RootCertificate, Stretch};
use crate::disk::{self, DiskError, Shown, Staged};
use crate::key::{KeyError, Passphrase, PublicKey, SoftwareKey, os_rng};
use crate::model::event::{Issued, KeySource};
use crate::model::lifecycle::Remark;
use crate::model::{Address, Fact, Form, Platform, Reason, Serial, Signed, Status, Validity};
use crate::store::Committed;
use crate::x509::pem;

/// A certificate that was issued, and where it lies.
#[derive(Debug, Clone)]
pub struct Issuance {
    /// Whose.
    pub address: Address,
    /// Its serial number.
    pub serial: Serial,
    /// When it is good.
    pub validity: Validity,
    /// What it was made for.
    pub platform: Platform,
    /// The bundle's form; none where the device made its own key.
    pub form: Option<Form>,
    /// The files, the bundle or certificate first.
    pub files: Vec<PathBuf>,
    /// What policy changed of what was asked for.
    pub remarks: Vec<Remark>,
    /// What it replaces.
    pub supersedes: Vec<Serial>,
    /// How many certificates of the device were revoked because their bundles were lost.
    pub lost: usize,
}

/// How bundles are handed out.
pub struct Delivery<'a> {
    /// Where the files go.
    pub outbox: &'a mut Outbox,
    /// Where the passphrases come from, and go.
    pub passphrases: Handover<'a>,
    /// Whether QR codes of the bundles are drawn.
    pub codes: Codes,
    /// Whether an Apple profile asks to trust the root.
    pub root: RootInProfile,
}

/// Whether QR codes of the bundles are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codes {
    /// PNG and SVG beside each bundle.
    Drawn,
    /// None.
    None,
}

/// Whether an Apple profile asks to trust the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootInProfile {
    /// It does not.
    Omitted,
    /// `--with-root`.
    Included,
}

/// Where the passphrases of bundles come from, and where they go.
pub enum Handover<'a> {
    /// A person chose it; she knows it already.
    Chosen(Passphrase),
    /// Generated, and shown before the bundle counts as delivered.
    Shown(&'a mut dyn FnMut(&Address, &Passphrase) -> std::io::Result<()>),
    /// Generated, into a new private file of its own.
    File(PathBuf),
    /// Generated, a line `ADDRESS<TAB>PASSPHRASE` each, appended to a private file before the commit.
    List(PathBuf),
}

/// The directory that bundles go to, and the names that are taken.
#[derive(Debug)]
pub struct Outbox {
    directory: PathBuf,
    claimed: HashSet<PathBuf>,
}

impl Outbox {
    /// The directory at `path`, made where it is missing.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn open(path: &Path) -> Result<Self, OperateError> {
        let outbox = Self {
            directory: path.to_owned(),
            claimed: HashSet::new(),
        };
        disk::ensure_directory(path, disk::PRIVATE_DIRECTORY).map_err(|error| outbox.useless(error))?;
        Ok(outbox)
    }

    /// Makes sure that files can be written into the directory at `path`, where there is one; `open` would make one.
    ///
    /// # Errors
    /// Where they cannot.
    pub fn try_out(path: &Path) -> Result<(), OperateError> {
        if path.is_dir() {
            Self::open(path)?.prove(ROOM)?;
        }
        Ok(())
    }

    /// Makes sure that files can be written there before anything is signed.
    fn prove(&self, octets: usize) -> Result<(), OperateError> {
        let place = self.directory.join("pki");
        disk::sweep(&place)
            .and_then(|()| Staged::write(&place, disk::PRIVATE_FILE, &[&vec![0; octets]])?.sync())
            .map_err(|error| self.useless(error))
    }

    fn useless(&self, error: DiskError) -> OperateError {
        // "." says little to whoever forgot where she is.
        let path = std::path::absolute(&self.directory).unwrap_or_else(|_| self.directory.clone());
        OperateError::Outbox {
            path: Shown(path),
            why: error.source,
        }
    }

    /// The stem of a device's files: `alice-phone`, or with the serial's first digits where any such name is taken.
    fn stem(&mut self, address: &Address, serial: Serial) -> Result<PathBuf, OperateError> {
        let plain = address.file_stem();
        for name in [plain.clone(), format!("{plain}-{}", serial.short())] {
            let stem = self.directory.join(name);
            let taken = EXTENSIONS
                .iter()
                .any(|extension| disk::is_taken(&with_extension(&stem, extension)));
            if !taken && self.claimed.insert(stem.clone()) {
                return Ok(stem);
            }
        }
        Err(OperateError::Exists(Shown(self.directory.join(plain))))
    }
}

const EXTENSIONS: [&str; 5] = ["p12", "mobileconfig", "qr.png", "qr.svg", "crt"];

fn with_extension(stem: &Path, extension: &str) -> PathBuf {
    // The stem may hold dots: `Path::with_extension` would cut it.
    let mut name = stem.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// A device's key and the passphrase of its bundle, until that is written.
struct Secret {
    key: SoftwareKey,
    passphrase: Option<Passphrase>,
}

/// A file of a device, ready to be written.
struct Ready {
    files: Vec<(PathBuf, Vec<u8>)>,
}

/// Carries out plans that were made in this session, as one batch.
///
/// # Errors
/// Before the commit: nothing happened. After it: [`OperateError::Undelivered`], and the same command again finishes the work.
pub fn carry_out(
    session: &mut Session<'_>,
    issuing: &Issuing,
    plans: Vec<Plan>,
    delivery: &mut Delivery<'_>,
) -> Result<Vec<Issuance>, OperateError> {
    if plans.is_empty() {
        return Ok(Vec::new());
    }
    let generated = !matches!(delivery.passphrases, Handover::Chosen(_));
    let signed: Vec<(Signed, Option<Secret>)> = plans
        .par_iter()
        .map(|plan| sign(issuing, plan, generated))
        .collect::<Result<_, _>>()?;
    let mut stems = Vec::with_capacity(plans.len());
    for (plan, (signed, _)) in plans.iter().zip(&signed) {
        stems.push(delivery.outbox.stem(plan.address(), signed.serial())?);
    }
    delivery.outbox.prove(plans.len() * ROOM)?;
    let workshop = Workshop {
        chain: issuing.chain(),
        template: session
            .desk
            .home
            .template("mobileconfig.plist", MobileConfig::TEMPLATE)?,
        codes: delivery.codes,
        root: delivery.root,
    };
    signed
        .par_iter()
        .try_for_each(|(signed, _)| workshop.rehearse(signed.issued()))?;
    let stored = store_passphrases(&delivery.passphrases, &plans, &signed)?;

    let facts = plans.iter().flat_map(Plan::facts).collect();
    let (signed, secrets): (Vec<Signed>, Vec<Option<Secret>>) = signed.into_iter().unzip();
    let committed = session
        .store
        .commit_signed(facts, signed, session.now, &session.desk.by)?;

    let undelivered = |error| OperateError::Undelivered(Box::new(error));
    let deliver = || -> Result<Vec<Ready>, OperateError> {
        let chosen = match &delivery.passphrases {
            Handover::Chosen(passphrase) => Some(passphrase),
            Handover::Shown(_) | Handover::File(_) | Handover::List(_) => None,
        };
        let ready: Vec<Ready> = committed
            .par_iter()
            .zip(&secrets)
            .zip(&stems)
            .map(|((committed, secret), stem)| workshop.assemble(committed, secret.as_ref(), chosen, stem))
            .collect::<Result<_, _>>()?;
        put_in_place(&delivery.outbox.directory, &ready, stored)?;
        if let Handover::Shown(show) = &mut delivery.passphrases {
            for (plan, secret) in plans.iter().zip(&secrets) {
                if let Some(passphrase) = secret.as_ref().and_then(|secret| secret.passphrase.as_ref()) {
                    // A bundle whose passphrase nobody saw is not delivered.
                    show(plan.address(), passphrase)
                        .map_err(disk::failed("written", Path::new("/dev/tty")))?;
                }
            }
        }
        Ok(ready)
    };
    let ready = deliver().map_err(undelivered)?;
    let events = committed
        .iter()
        .zip(&plans)
        .zip(&ready)
        .flat_map(|((c, plan), ready)| delivered(c, plan, ready));
    session.commit(events.collect()).map_err(undelivered)?;
    let issuances = committed.into_iter().zip(plans).zip(ready);
    Ok(issuances
        .map(|((committed, plan), ready)| issuance(committed.issued(), plan, ready))
        .collect())
}

/// Writes the certificate of a device's own key once more, where that key has a valid one: the same request again after a kill, or
/// after the file was lost.
///
/// # Errors
/// Where it cannot be written.
pub fn hand_out_again(
    session: &Session<'_>,
    request: &Request,
    outbox: &mut Outbox,
) -> Result<Option<Issuance>, OperateError> {
    let KeyRequest::Own(public_key) = &request.key else {
        return Ok(None);
    };
    let history = session.store.device(&request.holder.address)?;
    let same = history.iter().rev().find(|record| {
        record.status(session.now) == Status::Valid && record.spki_sha256 == public_key.spki_sha256()
    });
    let Some(record) = same else { return Ok(None) };
    let issued = session.store.issued(record)?;
    let chain = session.desk.home.chain();
    let text = pem::encode(pem::CERTIFICATE, &issued.certificate) + &chain.issuing().pem();
    let place = with_extension(&outbox.stem(&record.address, record.serial)?, "crt");
    disk::create_private(&place, text.as_bytes())?;
    Ok(Some(Issuance {
        address: issued.address,
        serial: issued.serial,
        validity: issued.validity,
        platform: issued.platform,
        form: None,
        files: vec![place],
        remarks: Vec::new(),
        supersedes: Vec::new(),
        lost: 0,
    }))
}

/// Room for the files of one device, in octets: what must be free before anything is signed.
const ROOM: usize = 4096;

fn sign(issuing: &Issuing, plan: &Plan, generated: bool) -> Result<(Signed, Option<Secret>), OperateError> {
    let rng = &mut os_rng();
    let order = |public_key: &PublicKey, source, rng: &mut _| {
        let order = Order {
            draft: plan.draft.clone(),
            public_key,
            source,
            supersedes: plan.supersedes.clone(),
        };
        issuing.sign(order, rng)
    };
    match &plan.key {
        KeyRequest::Own(public_key) => Ok((order(public_key, KeySource::Request, rng)?, None)),
        KeyRequest::Bundle(form) => {
            let key = SoftwareKey::generate(rng);
            let signed = order(key.public_key(), KeySource::Bundle { p12: *form }, rng)?;
            let passphrase = generated.then(|| Passphrase::generate(rng));
            Ok((signed, Some(Secret { key, passphrase })))
        }
    }
}

/// A passphrase that lies on disk beside its final name.
struct Stored {
    staged: Staged,
    /// Where the file goes that an earlier try left under the final name, for a certificate that was never delivered. It is not
    /// overwritten: it may be another bundle's.
    aside: Option<PathBuf>,
}

/// Puts generated passphrases where they were asked for, durably, before the commit.
fn store_passphrases(
    handover: &Handover<'_>,
    plans: &[Plan],
    signed: &[(Signed, Option<Secret>)],
) -> Result<Option<Stored>, OperateError> {
    let lines = plans
        .iter()
        .zip(signed)
        .filter_map(|(plan, (_, secret))| Some((plan.address(), secret.as_ref()?.passphrase.as_ref()?)));
    match handover {
        Handover::Chosen(_) | Handover::Shown(_) => Ok(None),
        Handover::File(path) => {
            let again = plans.iter().any(|plan| !plan.lost.is_empty());
            if disk::is_taken(path) && !again {
                return Err(OperateError::Exists(Shown(path.clone())));
            }
            let mut text = zeroize::Zeroizing::new(String::new());
            for (_, passphrase) in lines {
                text.push_str(passphrase.expose());
                text.push('\n');
            }
            disk::sweep(path)?;
            let staged = Staged::write(path, disk::PRIVATE_FILE, &[text.as_bytes()])?;
            staged.sync()?;
            Ok(Some(Stored {
                staged,
                aside: disk::is_taken(path).then(|| aside(path, signed)),
            }))
        }
        Handover::List(path) => {
            let mut text = zeroize::Zeroizing::new(String::new());
            for (address, passphrase) in lines {
                text.push_str(&format!("{address}\t"));
                text.push_str(passphrase.expose());
                text.push('\n');
            }
            append_private(path, text.as_bytes())?;
            Ok(None)
        }
    }
}

/// The name for a passphrase file that is in the way: its own and the beginning of the new certificate's serial.
fn aside(path: &Path, signed: &[(Signed, Option<Secret>)]) -> PathBuf {
    let serial = signed
        .first()
        .map(|(signed, _)| signed.serial().short())
        .unwrap_or_default();
    with_extension(path, &format!("before-{serial}"))
}

/// Appends to a private file, made where it is missing, and makes that durable.
fn append_private(path: &Path, octets: &[u8]) -> Result<(), OperateError> {
    let new = !path.exists();
    let mut file: File = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(disk::PRIVATE_FILE)
        .open(path)
        .map_err(disk::failed("opened", path))?;
    // Looked at by its handle: what is written to is what was looked at.
    let there = file.metadata().map_err(disk::failed("examined", path))?;
    if there.mode() & 0o077 != 0 {
        let (path, mode) = (Shown(path.to_owned()), there.mode() & 0o7777);
        return Err(crate::home::HomeError::Exposed(crate::home::Exposed { path, mode }).into());
    }
    if !there.is_file() || there.uid() != rustix::process::geteuid().as_raw() {
        return Err(OperateError::NotOwn(Shown(path.to_owned())));
    }
    file.write_all(octets)
        .and_then(|()| file.sync_all())
        .map_err(disk::failed("written", path))?;
    if new {
        disk::sync_directory(path.parent().unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

/// What a PKCS#12 has beside certificates and names: the key, salts, identifiers and padding, at most.
const OVERHEAD: usize = 900;

/// What every bundle of a batch is made with.
struct Workshop<'a> {
    chain: &'a Chain,
    template: String,
    codes: Codes,
    root: RootInProfile,
}

impl Workshop<'_> {
    /// Makes what comes with a bundle from octets of about its length, before anything is recorded: a template that does not work, or a
    /// bundle too long for a code, would fail after the commit, and again with every try.
    fn rehearse(&self, issued: &Issued) -> Result<(), OperateError> {
        if matches!(issued.key, KeySource::Request) {
            return Ok(());
        }
        let label = friendly_name(issued);
        let lengths = issued.certificate.len() + self.chain.issuing().der().len() + 4 * label.len();
        let p12 = vec![0; lengths + OVERHEAD];
        if issued.platform.takes_mobileconfig() {
            self.profile(issued, &label, &p12)?;
        }
        if self.codes == Codes::Drawn {
            Code::new(&bundle::credential(&p12))?;
        }
        Ok(())
    }

    /// The files of one device.
    fn assemble(
        &self,
        committed: &Committed,
        secret: Option<&Secret>,
        chosen: Option<&Passphrase>,
        stem: &Path,
    ) -> Result<Ready, OperateError> {
        let issued = committed.issued();
        let (Some(secret), KeySource::Bundle { p12: form }) = (secret, issued.key) else {
            let text = pem::encode(pem::CERTIFICATE, &issued.certificate) + &self.chain.issuing().pem();
            return Ok(Ready {
                files: vec![(with_extension(stem, "crt"), text.into_bytes())],
            });
        };
        let unencodable = |why: KeyError| OperateError::Key {
            path: Shown("the device's key".into()),
            why,
        };
        let (passphrase, stretch) = match (&secret.passphrase, chosen) {
            (Some(generated), _) => (generated, Stretch::Generated),
            (None, Some(chosen)) => (chosen, Stretch::Chosen),
            (None, None) => return Err(unencodable(KeyError::WrongPassphrase)),
        };
        let label = friendly_name(issued);
        let key = secret.key.pkcs8().map_err(unencodable)?;
        let contents = Contents {
            friendly_name: &label,
            key: &key,
            leaf: &issued.certificate,
            authorities: &[self.chain.issuing().der()],
        };
        let p12 = bundle::encode(&contents, passphrase, form, stretch, &mut os_rng())?;
        let mut files = Vec::new();
        if issued.platform.takes_mobileconfig() {
            files.push((
                with_extension(stem, "mobileconfig"),
                self.profile(issued, &label, &p12)?.into_bytes(),
            ));
        }
        if self.codes == Codes::Drawn {
            let code = Code::new(&bundle::credential(&p12))?;
            files.push((with_extension(stem, "qr.png"), code.to_png()?));
            files.push((with_extension(stem, "qr.svg"), code.to_svg().into_bytes()));
        }
        files.insert(0, (with_extension(stem, "p12"), p12));
        Ok(Ready { files })
    }

    /// Apple's configuration profile with this bundle.
    fn profile(&self, issued: &Issued, label: &str, p12: &[u8]) -> Result<String, OperateError> {
        let root = self.chain.root();
        let fingerprint = HEXLOWER.encode(&root.sha256()[..8]);
        let profile = MobileConfig {
            identifier: &format!(
                "pki.{fingerprint}.{}",
                issued.address.to_string().replace('/', ".")
            ),
            display_name: label,
            organization: &self.chain.issuer().organization,
            p12,
            issuing: self.chain.issuing().der(),
            root: match self.root {
                RootInProfile::Omitted => RootCertificate::Omitted,
                RootInProfile::Included => RootCertificate::Included(root.der()),
            },
        };
        Ok(profile.render(&self.template, &mut os_rng())?)
    }
}

/// What systems show as the name of the identity.
fn friendly_name(issued: &Issued) -> String {
    let name = issued
        .name
        .as_ref()
        .map_or(issued.address.employee.as_str(), |name| name.as_str());
    format!("{name} ({})", issued.address.device)
}

/// Writes every file beside its place, syncs them together, moves them in, syncs the directory once, and reads every file back.
fn put_in_place(directory: &Path, ready: &[Ready], stored: Option<Stored>) -> Result<(), OperateError> {
    let files = || ready.iter().flat_map(|ready| &ready.files);
    disk::sweep_all(directory, files().map(|(place, _)| place.as_path()))?;
    let mut staged = Vec::new();
    for (place, octets) in files() {
        staged.push(Staged::write(place, disk::PRIVATE_FILE, &[octets])?);
    }
    disk::sync_many(directory, &staged)?;
    if let Some(Stored { staged, aside }) = stored {
        let place = staged.place().to_owned();
        if let Some(aside) = aside {
            std::fs::rename(&place, &aside).map_err(disk::failed("moved aside", &place))?;
        }
        staged.place_new()?;
        disk::sync_directory(place.parent().unwrap_or(Path::new(".")))?;
    }
    for file in staged {
        file.place_new()?;
    }
    disk::sync_directory(directory)?;
    for (place, octets) in files() {
        if disk::read_if_there(place)?.as_deref() != Some(octets) {
            return Err(OperateError::ReadBack(Shown(place.clone())));
        }
    }
    Ok(())
}

/// What is recorded once the files are there.
fn delivered(committed: &Committed, plan: &Plan, ready: &Ready) -> Vec<Fact> {
    let issued = committed.issued();
    let mut facts = Vec::new();
    match (issued.key, ready.files.first()) {
        (KeySource::Bundle { .. }, Some((_, bundle))) => facts.push(Fact::Delivered {
            serial: issued.serial,
            sha256: HEXLOWER.encode(&Sha256::digest(bundle)),
            supersedes: issued.supersedes.clone(),
        }),
        (KeySource::Request, _) | (_, None) => {}
    }
    facts.extend(plan.retires.iter().map(|serial| Fact::Revoked {
        serial: *serial,
        address: Some(issued.address.clone()),
        reason: Reason::Replaced,
        since: None,
    }));
    facts
}

fn issuance(issued: &Issued, plan: Plan, ready: Ready) -> Issuance {
    Issuance {
        address: issued.address.clone(),
        serial: issued.serial,
        validity: issued.validity,
        platform: issued.platform,
        form: match issued.key {
            KeySource::Bundle { p12 } => Some(p12),
            KeySource::Request => None,
        },
        files: ready.files.into_iter().map(|(path, _)| path).collect(),
        remarks: plan.draft.remarks().to_vec(),
        supersedes: plan.supersedes,
        lost: plan.lost.len(),
    }
}
