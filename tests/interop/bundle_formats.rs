//! What this program puts into a bundle, a code and a profile, as the programs read it that will have to.
//!
//! A program that is not installed is a visible skip on a person's machine, and a failure in CI.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Instant;

use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use pki::bundle::{BundleKeys, Code, Contents, MobileConfig, RootCertificate, Stretch, credential, encode};
use pki::key::{self, Passphrase, SoftwareKey, os_rng};
use pki::model::Form;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyUsagePurpose,
};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::support::{base45_decoded, found, need};

const PASSPHRASE: &str = "k7m2-9xq4 \"'\\$<&>";
const NAME: &str = "alice/phone";
const FORMS: [Form; 2] = [Form::Modern, Form::Legacy];

#[test]
fn p12_keystore_finds_key_and_chain_under_the_name() {
    let device = Device::new();
    for form in FORMS {
        let store =
            KeyStore::from_pkcs12(&device.bundle(form), PASSPHRASE, Pkcs12ImportPolicy::Strict).unwrap();
        let (name, chain) = store.private_key_chain().unwrap();
        assert_eq!(name, NAME);
        assert_eq!(chain.key().as_der(), device.key.as_slice());
        let certificates: Vec<&[u8]> = chain
            .certs()
            .iter()
            .map(|certificate| certificate.as_der())
            .collect();
        assert_eq!(certificates, [device.leaf.as_slice(), device.issuing.as_slice()]);
        assert!(KeyStore::from_pkcs12(&device.bundle(form), "wrong", Pkcs12ImportPolicy::Strict).is_err());
    }
}

#[test]
fn openssl_opens_both_forms_and_sees_what_they_are_made_of() {
    if !need(&["openssl"]) {
        return;
    }
    let device = Device::new();
    for (form, encryption, mac) in [
        (
            Form::Modern,
            "PBES2, PBKDF2, AES-256-CBC, Iteration 2048, PRF hmacWithSHA256",
            "MAC: sha256, Iteration 2048",
        ),
        (
            Form::Legacy,
            "pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 2048",
            "MAC: sha1, Iteration 2048",
        ),
    ] {
        let files = Files::with(&device.bundle(form));
        let arguments = [
            "pkcs12",
            "-in",
            "alice.p12",
            "-passin",
            "file:passphrase",
            "-info",
            "-noenc",
        ];
        let told = files.run("openssl", &arguments);
        assert_eq!(
            told.matches(encryption).count(),
            2,
            "certificates and key: {told}"
        );
        assert!(told.contains(mac) && told.contains("salt length: 8"), "{told}");
        // Of three bags, two carry the attributes: the key and the leaf, not the authority.
        assert_eq!(told.matches("friendlyName: alice/phone").count(), 2, "{told}");
        let ids: Vec<&str> = told
            .lines()
            .filter_map(|line| line.trim().strip_prefix("localKeyID: "))
            .collect();
        assert!(ids.len() == 2 && ids[0] == ids[1], "{told}");
        assert_eq!(told.matches("BEGIN CERTIFICATE").count(), 2, "{told}");
        assert!(told.contains("BEGIN PRIVATE KEY"), "{told}");
        std::fs::write(files.path("wrong"), "wrong").unwrap();
        let wrong = ["pkcs12", "-in", "alice.p12", "-passin", "file:wrong", "-noenc"];
        assert!(!files.output("openssl", &wrong).status.success());
    }
}

#[test]
fn openssl_opens_a_bundle_with_a_passphrase_that_a_person_chose() {
    if !need(&["openssl"]) {
        return;
    }
    let device = Device::new();
    for form in FORMS {
        let files = Files::with(&device.bundle_of(NAME, form, Stretch::Chosen));
        let arguments = [
            "pkcs12",
            "-in",
            "alice.p12",
            "-passin",
            "file:passphrase",
            "-info",
            "-noenc",
        ];
        // Both bags and the MAC.
        assert_eq!(
            files
                .run("openssl", &arguments)
                .matches("Iteration 600000")
                .count(),
            3
        );
    }
}

#[test]
fn keytool_finds_an_entry_with_a_chain_and_can_take_the_key_out() {
    if !need(&["keytool"]) {
        return;
    }
    let device = Device::new();
    for form in FORMS {
        let files = Files::with(&device.bundle(form));
        let list = [
            "-list",
            "-v",
            "-keystore",
            "alice.p12",
            "-storetype",
            "PKCS12",
            "-storepass:file",
            "passphrase",
        ];
        let told = files.run("keytool", &list);
        for line in [
            "Alias name: alice/phone",
            "Entry type: PrivateKeyEntry",
            "Certificate chain length: 2",
        ] {
            assert!(told.contains(line), "{form}: {line}: {told}");
        }
        let copy = "-importkeystore -srckeystore alice.p12 -srcstoretype PKCS12 -srcstorepass:file passphrase \
                    -destkeystore copy.p12 -deststoretype PKCS12 -deststorepass:file passphrase";
        files.run("keytool", &copy.split_whitespace().collect::<Vec<_>>());
    }
}

#[test]
fn nss_imports_key_and_certificates() {
    if !need(&["pk12util", "certutil"]) {
        return;
    }
    let device = Device::new();
    for form in FORMS {
        let files = Files::with(&device.bundle(form));
        let keys = files.imported_by_nss();
        assert!(keys.contains("alice/phone"), "{form}: {keys}");
        let certificates = files.run("certutil", &["-L", "-d", "sql:nss"]);
        assert!(
            certificates.contains("alice/phone") && certificates.contains("Acme Ltd Issuing CA"),
            "{certificates}"
        );
    }
}

#[test]
fn gnutls_opens_both_forms() {
    if !need(&["certtool"]) {
        return;
    }
    let device = Device::new();
    for form in FORMS {
        let files = Files::with(&device.bundle(form));
        let arguments = [
            "--p12-info",
            "--inder",
            "--infile",
            "alice.p12",
            "--password",
            PASSPHRASE,
        ];
        let told = files.run("certtool", &arguments);
        assert_eq!(told.matches("BEGIN CERTIFICATE").count(), 2, "{form}: {told}");
        // Named key and leaf, and an authority without a name.
        assert_eq!(
            told.matches("Friendly name: alice/phone").count(),
            2,
            "{form}: {told}"
        );
        // It shows the key still encrypted: opening it is a second command.
        let key = told
            .find("-----BEGIN ENCRYPTED PRIVATE KEY")
            .map(|at| &told[at..])
            .unwrap();
        std::fs::write(files.path("key.pem"), key).unwrap();
        let told = files.run(
            "certtool",
            &["--key-info", "--infile", "key.pem", "--password", PASSPHRASE],
        );
        assert!(told.contains("SECP256R1"), "{form}: {told}");
    }
}

#[test]
fn node_makes_a_client_context_of_either_form() {
    if !need(&["node"]) {
        return;
    }
    let device = Device::new();
    let script = r#"
        const fs = require("fs"), tls = require("tls");
        const pfx = fs.readFileSync("alice.p12"), passphrase = fs.readFileSync("passphrase", "utf8");
        const made = tls.createSecureContext({ pfx, passphrase }).context;
        if (!made.getCertificate().equals(fs.readFileSync("leaf.der"))) throw new Error("another certificate");
        if (!made.getIssuer().equals(fs.readFileSync("issuing.der"))) throw new Error("another issuer");
        try { tls.createSecureContext({ pfx, passphrase: "wrong" }); } catch { process.exit(0); }
        throw new Error("opened with a wrong passphrase");
    "#;
    for form in FORMS {
        let files = Files::with(&device.bundle(form));
        std::fs::write(files.path("leaf.der"), &device.leaf).unwrap();
        std::fs::write(files.path("issuing.der"), &device.issuing).unwrap();
        files.run("node", &["-e", script]);
    }
}

#[test]
fn a_name_beyond_ucs_2_hinders_nobody() {
    let device = Device::new();
    for form in FORMS {
        let bundle = device.bundle_of("Zoë 🔑", form, Stretch::Generated);
        assert!(KeyStore::from_pkcs12(&bundle, PASSPHRASE, Pkcs12ImportPolicy::Strict).is_ok());
        let files = Files::with(&bundle);
        if need(&["openssl"]) {
            files.run(
                "openssl",
                &[
                    "pkcs12",
                    "-in",
                    "alice.p12",
                    "-passin",
                    "file:passphrase",
                    "-noout",
                ],
            );
        }
        if need(&["keytool"]) {
            let told = files.run(
                "keytool",
                &["-list", "-keystore", "alice.p12", "-storepass:file", "passphrase"],
            );
            assert!(told.contains("zoë 🔑, "), "{form}: {told}");
        }
        if need(&["pk12util", "certutil"]) {
            assert!(files.imported_by_nss().contains("Zoë 🔑"), "{form}");
        }
        if need(&["certtool"]) {
            let arguments = [
                "--p12-info",
                "--inder",
                "--infile",
                "alice.p12",
                "--password",
                PASSPHRASE,
            ];
            assert!(
                files
                    .run("certtool", &arguments)
                    .contains("Friendly name: Zoë 🔑"),
                "{form}"
            );
        }
    }
}

#[test]
fn a_credential_survives_print_and_scan() {
    if !need(&["zbarimg", "openssl"]) {
        return;
    }
    let device = Device::new();
    for form in FORMS {
        let bundle = device.bundle(form);
        let code = Code::new(&credential(&bundle)).unwrap();
        assert!(
            code.version() <= 35,
            "{} octets in version {}",
            bundle.len(),
            code.version()
        );
        let files = Files::with(b"");
        std::fs::write(files.path("code.png"), code.to_png().unwrap()).unwrap();
        let scanned = files.output(
            "zbarimg",
            &["--quiet", "--raw", "-Sdisable", "-Sqrcode.enable", "code.png"],
        );
        let scanned = String::from_utf8(scanned.stdout).unwrap();
        let text = scanned.trim_end_matches('\n').strip_prefix("PKI1:").unwrap();
        let decoded = base45_decoded(text);
        assert_eq!(decoded, bundle);
        std::fs::write(files.path("alice.p12"), decoded).unwrap();
        files.run(
            "openssl",
            &[
                "pkcs12",
                "-in",
                "alice.p12",
                "-passin",
                "file:passphrase",
                "-noout",
            ],
        );
    }
}

#[test]
fn a_profile_is_a_property_list_with_whole_payloads_and_no_password() {
    let device = Device::new();
    let bundle = device.bundle(Form::Modern);
    let config = MobileConfig {
        identifier: "pki.0a1b2c3d.alice.phone",
        display_name: "Alice & <Bob> \"'/",
        organization: "Acme & Söhne",
        p12: &bundle,
        issuing: &device.issuing,
        root: RootCertificate::Included(&device.root),
    };
    let files = Files::with(&bundle);
    std::fs::write(files.path("issuing.der"), &device.issuing).unwrap();
    std::fs::write(files.path("root.der"), &device.root).unwrap();
    let rendered = config.render(MobileConfig::TEMPLATE, &mut os_rng()).unwrap();
    std::fs::write(files.path("alice.mobileconfig"), rendered).unwrap();
    if need(&["python3"]) {
        let script = r#"
import plistlib, uuid
profile = plistlib.load(open("alice.mobileconfig", "rb"))
payloads = profile["PayloadContent"]
for payload in [profile, *payloads]:
    assert payload["PayloadVersion"] == 1 and payload["PayloadType"] and payload["PayloadDisplayName"], payload
    assert payload["PayloadIdentifier"].startswith("pki.0a1b2c3d.alice.phone"), payload
    assert uuid.UUID(payload["PayloadUUID"]).version == 4, payload
    assert "Password" not in payload
assert len({payload["PayloadIdentifier"] for payload in [profile, *payloads]}) == 4
assert profile["PayloadDisplayName"] == "Alice & <Bob> \"'/"
assert profile["PayloadOrganization"] == "Acme & Söhne"
assert {p["PayloadType"]: p["PayloadContent"] for p in payloads} == {
    "com.apple.security.pkcs12": open("alice.p12", "rb").read(),
    "com.apple.security.pkcs1": open("issuing.der", "rb").read(),
    "com.apple.security.root": open("root.der", "rb").read(),
}
"#;
        files.run("python3", &["-X", "utf8", "-c", script]);
    }
    // Adds only that the DTD's outline is well-formed to a second parser: welcome where it is, not asked for.
    if found("xmllint").is_some() {
        files.run("xmllint", &["--nonet", "--noout", "alice.mobileconfig"]);
    }
}

#[test]
#[ignore = "measures: cargo test --release --test interop bundle_formats -- --ignored --nocapture"]
fn a_thousand_bundles_take_half_a_second_at_most() {
    let device = Device::new();
    for form in FORMS {
        let start = Instant::now();
        for _ in 0..1000 {
            std::hint::black_box(device.bundle(form));
        }
        let taken = start.elapsed();
        eprintln!("1,000 bundles, {form}: {taken:?}");
        assert!(taken.as_millis() < 500, "{form}: {taken:?}");
    }
}

/// A device's key and certificates, under a root and an issuing CA of its own.
struct Device {
    key: Zeroizing<Vec<u8>>,
    leaf: Vec<u8>,
    issuing: Vec<u8>,
    root: Vec<u8>,
}

impl Device {
    fn new() -> Self {
        let [root, issuing, device] = [0; 3].map(|_| Signing(SoftwareKey::generate(&mut os_rng())));
        let of_root = params("Acme Ltd Root CA", &root, 1);
        let mut of_issuing = params("Acme Ltd Issuing CA", &issuing, 2);
        of_issuing.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let mut of_device = params("Alice Doe (phone)", &device, 3);
        of_device.is_ca = IsCa::NoCa;
        of_device.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        of_device.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];

        let root_certificate = of_root.self_signed(&root).unwrap();
        let root = Issuer::new(of_root, root);
        let issuing_certificate = of_issuing.signed_by(&issuing, &root).unwrap();
        let issuing = Issuer::new(of_issuing, issuing);
        let leaf = of_device.signed_by(&device, &issuing).unwrap();
        Self {
            key: device.0.pkcs8().unwrap(),
            leaf: leaf.der().to_vec(),
            issuing: issuing_certificate.der().to_vec(),
            root: root_certificate.der().to_vec(),
        }
    }

    fn bundle(&self, form: Form) -> Vec<u8> {
        self.bundle_of(NAME, form, Stretch::Generated)
    }

    fn bundle_of(&self, friendly_name: &str, form: Form, stretch: Stretch) -> Vec<u8> {
        let passphrase = Passphrase::from_octets(Zeroizing::new(PASSPHRASE.as_bytes().to_vec())).unwrap();
        let contents = Contents {
            friendly_name,
            key: &self.key,
            leaf: &self.leaf,
            authorities: &[&self.issuing],
        };
        let keys = BundleKeys::derive(&passphrase, form, stretch, &mut os_rng()).unwrap();
        encode(&contents, keys, &mut os_rng()).unwrap()
    }
}

fn params(common_name: &str, key: &Signing, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Acme Ltd");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.serial_number = Some(serial.into());
    params.not_before = rcgen::date_time_ymd(2024, 1, 1);
    params.not_after = rcgen::date_time_ymd(2044, 1, 1);
    params.key_identifier_method = KeyIdMethod::PreSpecified(key.0.public_key().key_identifier());
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}

/// Our key, as rcgen wants to see one.
struct Signing(SoftwareKey);

impl rcgen::PublicKeyData for Signing {
    fn der_bytes(&self) -> &[u8] {
        self.0.public_key().point()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Signing {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(key::sign(&self.0, message).unwrap().to_der())
    }
}

/// A directory with a bundle and its passphrase, where foreign programs run.
struct Files(TempDir);

impl Files {
    fn with(bundle: &[u8]) -> Self {
        let files = Self(TempDir::new().unwrap());
        std::fs::write(files.path("alice.p12"), bundle).unwrap();
        std::fs::write(files.path("passphrase"), PASSPHRASE).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn output(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", self.0.path());
        command.stdin(std::process::Stdio::null()).output().unwrap()
    }

    /// The private keys of a new NSS database after the import of the bundle.
    fn imported_by_nss(&self) -> String {
        std::fs::create_dir(self.path("nss")).unwrap();
        self.run("certutil", &["-N", "-d", "sql:nss", "--empty-password"]);
        self.run(
            "pk12util",
            &["-i", "alice.p12", "-d", "sql:nss", "-w", "passphrase"],
        );
        self.run("certutil", &["-K", "-d", "sql:nss"])
    }

    /// What the program says, on both streams; it must succeed.
    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.output(program, arguments);
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            text(&output)
        );
        text(&output)
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}
