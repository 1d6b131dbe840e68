//! CAs and publications that may break any rule.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use pki::fetch::{self, FetchError, Fetched, Order, SourceName};
use pki::key::{self, SoftwareKey, os_rng};
use pki::model::{Reason, Revocation, Serial, Span, Time};
use pki::publish::{Area, Listed, Manifest};
use pki::x509::crl::{self, Terms};
use pki::x509::{Certificate, pem};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose as Eku, IsCa, Issuer,
    KeyUsagePurpose as Usage, PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm,
    SigningKey,
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::{Finished, PKI, finish};

/// What a certificate says that ends so much later than now.
pub fn ending_in(mut params: CertificateParams, span: Span) -> CertificateParams {
    params.not_after = time::OffsetDateTime::from_unix_timestamp((now() + span).unix()).unwrap();
    params
}

/// The time at which the test began: what is made twice is the same twice.
pub fn now() -> Time {
    static NOW: OnceLock<Time> = OnceLock::new();
    *NOW.get_or_init(clock)
}

fn clock() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time::from_unix(since.as_secs().try_into().unwrap())
}

/// A key with its certificate.
pub struct Holder {
    pub key: SoftwareKey,
    pub params: CertificateParams,
    pub certificate: Certificate,
}

struct Pen<'a>(&'a SoftwareKey);

impl PublicKeyData for Pen<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().point()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Pen<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(key::sign(self.0, message).unwrap().to_der())
    }
}

/// What a certificate of this name says: a CA's (with the purposes of those it certifies) or another's.
pub fn params(name: &str, is_ca: bool, usages: &[Usage], purposes: &[Eku]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let serial = Sha256::digest(name);
    let serial = Serial::from_random(serial[..16].try_into().unwrap());
    params.serial_number = Some(SerialNumber::from_slice(serial.octets()));
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params.key_usages = usages.to_vec();
    params.extended_key_usages = purposes.to_vec();
    let at = |time: Time| time::OffsetDateTime::from_unix_timestamp(time.unix()).unwrap();
    params.not_before = at(now() - Span::days(30));
    params.not_after = at(now() + Span::days(900));
    params
}

impl Holder {
    pub fn root(name: &str) -> Self {
        let key = SoftwareKey::generate(&mut os_rng());
        let params = params(name, true, &[Usage::KeyCertSign, Usage::CrlSign], &[]);
        let made = params.self_signed(&Pen(&key)).unwrap();
        let certificate = Certificate::from_der(made.der()).unwrap();
        Self {
            key,
            params,
            certificate,
        }
    }

    pub fn certify(&self, params: CertificateParams) -> Self {
        let key = SoftwareKey::generate(&mut os_rng());
        let pen = Pen(&self.key);
        let made = params
            .signed_by(&Pen(&key), &Issuer::from_params(&self.params, &pen))
            .unwrap();
        let certificate = Certificate::from_der(made.der()).unwrap();
        Self {
            key,
            params,
            certificate,
        }
    }

    /// Gives a CA another certificate for the key that it has.
    pub fn recertify(&self, holder: &mut Self, params: CertificateParams) {
        let pen = Pen(&self.key);
        let made = params
            .signed_by(&Pen(&holder.key), &Issuer::from_params(&self.params, &pen))
            .unwrap();
        holder.certificate = Certificate::from_der(made.der()).unwrap();
        holder.params = params;
    }

    /// The certificate, DER, of a key that is not ours to hold.
    pub fn certify_key(&self, params: CertificateParams, key: &p256::SecretKey) -> Vec<u8> {
        struct Point(Vec<u8>);
        impl PublicKeyData for Point {
            fn der_bytes(&self) -> &[u8] {
                &self.0
            }

            fn algorithm(&self) -> &'static SignatureAlgorithm {
                &PKCS_ECDSA_P256_SHA256
            }
        }
        let point = Point(key.public_key().to_sec1_bytes().to_vec());
        let pen = Pen(&self.key);
        params
            .signed_by(&point, &Issuer::from_params(&self.params, &pen))
            .unwrap()
            .der()
            .to_vec()
    }

    pub fn crl(&self, terms: Terms, revoked: &[Serial]) -> Vec<u8> {
        let mut entries: Vec<Revocation> = revoked
            .iter()
            .map(|serial| Revocation {
                serial: *serial,
                at: now() - Span::days(1),
                reason: Reason::Lost,
            })
            .collect();
        entries.sort_by_key(|entry| entry.serial);
        crl::sign(&self.certificate, &self.key, terms, &entries).unwrap()
    }

    /// A JWS by this key, with its own certificate.
    pub fn state(&self, typ: &str, payload: &[u8]) -> Vec<u8> {
        let x5c = [BASE64.encode(self.certificate.der())];
        let header = serde_json::json!({ "alg": "ES256", "typ": typ, "x5c": x5c }).to_string();
        let [header, payload] = [header.as_bytes(), payload].map(|part| BASE64URL_NOPAD.encode(part));
        let signed = format!("{header}.{payload}");
        let signature = BASE64URL_NOPAD.encode(&key::sign(&self.key, signed.as_bytes()).unwrap().to_fixed());
        format!("{signed}.{signature}").into_bytes()
    }

    pub fn serial(&self) -> Serial {
        Serial::from_octets(self.certificate.serial()).unwrap()
    }
}

/// The CAs of a PKI, a source directory, and a place to fetch into.
pub struct Forge {
    directory: TempDir,
    pub root: Holder,
    pub issuing: Holder,
    pub servers: Holder,
}

/// A publication on its way to a source.
#[derive(Clone)]
pub struct Publication {
    pub manifest: Manifest,
    pub files: BTreeMap<String, Vec<u8>>,
}

pub fn terms(number: u64) -> Terms {
    Terms {
        number,
        this_update: now() - Span::days(1),
        next_update: now() + Span::days(29),
    }
}

pub fn root_terms(number: u64) -> Terms {
    Terms {
        next_update: now() + Span::days(399),
        ..terms(number)
    }
}

impl Forge {
    pub fn new() -> Self {
        let root = Holder::root("Acme Ltd Root CA");
        let ca = [Usage::DigitalSignature, Usage::KeyCertSign, Usage::CrlSign];
        let issuing = root.certify(params("Acme Ltd Issuing CA", true, &ca, &[Eku::ClientAuth]));
        let servers = root.certify(params("Acme Ltd Servers CA", true, &ca[1..], &[Eku::ServerAuth]));
        let forge = Self {
            directory: TempDir::new().unwrap(),
            root,
            issuing,
            servers,
        };
        std::fs::write(forge.path("root.crt"), forge.root.certificate.pem()).unwrap();
        forge
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The public half with these CRLs, DER.
    pub fn public_with(&self, number: u64, root_crl: &[u8], issuing_crl: &[u8]) -> Publication {
        let [root, issuing] = [&self.root, &self.issuing].map(|ca| ca.certificate.pem());
        let [root_pem, issuing_pem] = [root_crl, issuing_crl].map(|der| pem::encode(pem::CRL, der));
        let files = [
            ("crl/bundle.pem", format!("{issuing_pem}{root_pem}").into_bytes()),
            ("crl/issuing.pem", issuing_pem.into_bytes()),
            ("crl/issuing.crl", issuing_crl.to_vec()),
            ("crl/root.pem", root_pem.into_bytes()),
            ("crl/root.crl", root_crl.to_vec()),
            ("ca/bundle.pem", format!("{root}{issuing}").into_bytes()),
            ("ca/root.crt", root.into_bytes()),
            ("ca/issuing.crt", issuing.into_bytes()),
            ("ca/root.der", self.root.certificate.der().to_vec()),
            ("ca/issuing.der", self.issuing.certificate.der().to_vec()),
        ];
        Publication::new(Area::Public, number, files)
    }

    /// The public half, its CRLs of this number, too, and this many revocations.
    pub fn public(&self, number: u64) -> Publication {
        let revoked = [Serial::from_random([7; 16])];
        let issuing_crl = self.issuing.crl(terms(number), &revoked);
        self.public_with(number, &self.root.crl(root_terms(1), &[]), &issuing_crl)
    }

    /// The servers' half.
    pub fn server(&self, number: u64) -> Publication {
        let [revoked, allowed] = [7, 8].map(|octet| Serial::from_random([octet; 16]));
        let devices = serde_json::json!({ "version": 1, "devices": [
            { "serial": allowed, "address": "alice/phone", "not_after": now() + Span::days(9), "status": "valid" }
        ]});
        let files = [
            ("revoked.map", format!("{revoked} 1;\n").into_bytes()),
            (
                "allowed.map",
                format!("{allowed} \"alice/phone\";\n").into_bytes(),
            ),
            ("devices.json", devices.to_string().into_bytes()),
        ];
        Publication::new(Area::Server, number, files)
    }

    /// Puts a publication into the directory `source`, signed by the issuing CA.
    pub fn publish(&self, publication: &Publication) {
        self.publish_by(publication, &self.issuing);
    }

    /// As [`Self::publish`], signed by whoever.
    pub fn publish_by(&self, publication: &Publication, signer: &Holder) {
        let text = publication.manifest.text();
        let jws = signer.state(Manifest::TYPE, &text);
        self.put(publication, &text, &jws);
    }

    /// Puts files and manifests into the directory `source`.
    pub fn put(&self, publication: &Publication, json: &[u8], jws: &[u8]) {
        let source = self.path("source");
        let _ = std::fs::remove_dir_all(&source);
        let manifests = [(Manifest::JSON, json), (Manifest::JWS, jws)];
        let files = publication
            .files
            .iter()
            .map(|(path, octets)| (path.as_str(), octets.as_slice()));
        for (path, octets) in files.chain(manifests) {
            let file = source.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, octets).unwrap();
        }
    }

    /// `pki fetch source --root root.crt --out out` and more.
    pub fn command(&self, more: &[&str]) -> Command {
        self.command_from("source", more)
    }

    pub fn command_from(&self, source: &str, more: &[&str]) -> Command {
        self.command_into("out", source, more)
    }

    pub fn command_into(&self, out: &str, source: &str, more: &[&str]) -> Command {
        let mut command = Command::new(PKI);
        command.args(["fetch", source, "--root", "root.crt", "--out", out]);
        command.args(more).current_dir(self.directory.path()).env_clear();
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
    }

    pub fn fetch(&self, more: &[&str]) -> Finished {
        finish(&mut self.command(more), b"")
    }

    /// What the program does at another time than now.
    pub fn fetch_at(&self, now: Time) -> Result<Fetched, FetchError> {
        let source = SourceName::Directory(self.path("source"));
        let outcome = fetch::fetch(&Order {
            source: &source,
            root: &self.path("root.crt"),
            out: &self.path("out"),
            area: None,
            group: None,
            ca: None,
            resolve: &[],
            root_crl: None,
            confirmed: &[],
            exec: None,
            wait: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
            is_trial: false,
            now,
        });
        outcome.map_err(|stopped| stopped.error)
    }

    /// Everything that there is below `out` and beside it, with inodes and times: what nobody has touched is
    /// the same.
    pub fn traces(&self) -> BTreeMap<String, (u64, i64, i64, String)> {
        let mut found = BTreeMap::new();
        let mut waiting: Vec<PathBuf> = [self.path("out"), self.path(".out.pki-fetch")].into();
        while let Some(path) = waiting.pop() {
            let Ok(metadata) = path.symlink_metadata() else {
                continue;
            };
            if metadata.is_dir() {
                waiting.extend(
                    std::fs::read_dir(&path)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
            }
            let said = if metadata.is_symlink() {
                path.read_link().unwrap().display().to_string()
            } else {
                std::fs::read(&path)
                    .map(|octets| sha256(&octets))
                    .unwrap_or_default()
            };
            // A directory's time moves where something is made in it and taken away again.
            let (time, nanoseconds) = if metadata.is_dir() {
                (0, 0)
            } else {
                (metadata.mtime(), metadata.mtime_nsec())
            };
            found.insert(
                path.display().to_string(),
                (metadata.ino(), time, nanoseconds, said),
            );
        }
        found
    }

    /// Whether `out` holds this publication and nothing else.
    pub fn holds(&self, publication: &Publication) -> bool {
        let out = self.path("out");
        let mut expected: Vec<String> = publication.files.keys().cloned().collect();
        expected.extend([Manifest::JSON, Manifest::JWS].map(str::to_owned));
        expected.sort();
        out.exists()
            && crate::support::files_below(&out) == expected
            && std::fs::read(out.join(Manifest::JSON)).unwrap() == publication.manifest.text()
            && publication
                .files
                .iter()
                .all(|(path, octets)| std::fs::read(out.join(path)).unwrap() == *octets)
    }
}

impl Publication {
    fn new<const N: usize>(area: Area, number: u64, files: [(&str, Vec<u8>); N]) -> Self {
        let files: BTreeMap<String, Vec<u8>> = files.map(|(path, octets)| (path.to_owned(), octets)).into();
        let manifest = Manifest {
            version: 1,
            area,
            number,
            made: now(),
            valid_until: terms(number).next_update,
            recent: None,
            optional: None,
            ended: Some(Vec::new()),
            files: BTreeMap::new(),
        };
        Self { manifest, files }.listed()
    }

    /// With a manifest that lists its files as they are: short lists apart from the others.
    pub fn listed(mut self) -> Self {
        let listed = self.files.iter().map(|(path, octets)| {
            let listed = Listed {
                sha256: sha256(octets),
                size: octets.len() as u64,
            };
            (path.clone(), listed)
        });
        let (short, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            listed.partition(|(path, _)| path.contains("-recent."));
        let (optional, others): (BTreeMap<_, _>, _) =
            others.into_iter().partition(|(path, _)| path.ends_with(".jsonl"));
        self.manifest.files = others;
        self.manifest.optional = Some(optional).filter(|optional| !optional.is_empty());
        self.manifest.recent = Some(short).filter(|short| !short.is_empty());
        self
    }

    /// With this file, listed.
    pub fn with(mut self, path: &str, octets: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.to_owned(), octets.into());
        self.listed()
    }

    /// Without this file, not listed either.
    pub fn without(mut self, path: &str) -> Self {
        self.files.remove(path).unwrap();
        self.listed()
    }

    /// With another manifest.
    pub fn saying(mut self, change: impl FnOnce(&mut Manifest)) -> Self {
        change(&mut self.manifest);
        self
    }
}

pub fn sha256(octets: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(octets))
}
