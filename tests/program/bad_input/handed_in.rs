//! What people hand in, at every door: read where it is plain what is meant, else named for what it is, with
//! the command that helps.

use data_encoding::BASE64;

use super::*;

const HOST: &str = "api.acme.example";
const URL: &str = "https://127.0.0.1:1/";

/// A home with files beside it: a key of P-256, a request and a server's certificate of it, and what people
/// take for those.
fn desk() -> Home {
    let home = Home::new();
    home.write_private("secret", "what-opens-these-files\n");
    for script in [
        "openssl ecparam -name prime256v1 -genkey -noout -out ec.key",
        "openssl req -new -key ec.key -subj /CN=x -out plain.csr",
        "openssl req -x509 -key ec.key -subj /CN=x -days 30 -addext basicConstraints=critical,CA:FALSE \
         -addext subjectAltName=DNS:api.acme.example -out tls.crt",
        "cat ec.key plain.csr > both.csr",
        "cat ec.key tls.crt > both.crt",
        "openssl pkcs12 -export -inkey ec.key -in tls.crt -passout file:secret -out b.p12",
        "openssl crl2pkcs7 -nocrl -certfile tls.crt -out chain.p7b",
        "openssl crl2pkcs7 -nocrl -certfile tls.crt -outform der -out chain.p7c",
        "openssl pkey -in ec.key -pubout -out public.pem",
        "openssl pkey -in ec.key -outform der -out key.der",
        "openssl pkey -in ec.key -aes256 -passout file:secret -out locked.key",
        "openssl ecparam -name prime256v1 -genkey -out parameters.key",
        "printf '<!DOCTYPE html><p>404' > page.html",
        "printf '\\376\\355\\376\\355\\0\\0\\0\\2' > store.jks",
        ": > empty",
        "echo nothing > words",
    ] {
        home.foreign("sh", &["-c", &format!("umask 077; {script}")]).ok();
    }
    home
}

/// The same thing as programs and people write it. Its label is the first one's.
fn writings(pem: &str) -> Vec<(&'static str, Vec<u8>)> {
    let lines: Vec<&str> = pem.lines().collect();
    let body = lines[1..lines.len() - 1].concat();
    let each = |before: &str, after: &str| -> Vec<u8> {
        let text: String = lines
            .iter()
            .map(|line| format!("{before}{line}{after}"))
            .collect();
        text.into_bytes()
    };
    let utf16 = |mark: &str, unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        format!("{mark}{pem}").encode_utf16().flat_map(unit).collect()
    };
    vec![
        ("plain", pem.as_bytes().to_vec()),
        ("with a byte-order mark", format!("\u{FEFF}{pem}").into_bytes()),
        ("in UTF-16", utf16("\u{FEFF}", u16::to_le_bytes)),
        (
            "in UTF-16 of the other order",
            utf16("\u{FEFF}", u16::to_be_bytes),
        ),
        ("in UTF-16 without a mark", utf16("", u16::to_le_bytes)),
        ("with CRLF", each("", "\r\n")),
        ("indented", each("    \t", "\n")),
        ("quoted in a mail", each("> ", "\r\n")),
        ("quoted twice", each(">> ", "\n")),
        ("in one line", each("", " ")),
        (
            "in a letter",
            format!("Dear colleague,\n\n{pem}\nYours\n").into_bytes(),
        ),
        ("naked base64", format!("{body}\n").into_bytes()),
        (
            "naked base64 in lines",
            lines[1..lines.len() - 1].join("\r\n").into_bytes(),
        ),
        ("DER", BASE64.decode(body.as_bytes()).unwrap()),
    ]
}

fn text_of(home: &Home, file: &str) -> String {
    std::fs::read_to_string(home.path(file)).unwrap()
}

#[test]
fn requests_are_read_however_they_are_written() {
    if !need(&["openssl", "sh"]) {
        return;
    }
    let home = desk();
    home.run(&["server", "import", HOST, "--cert", "tls.crt"]);
    let pem = text_of(&home, "plain.csr");
    let pin = home.run(&["show", "plain.csr", "--json"]).json()["spki_sha256"].clone();
    let mut written = writings(&pem);
    written.push((
        "with the label of keytool and certreq",
        pem.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
            .into_bytes(),
    ));
    written.push((
        "with the parameters of the curve before it",
        format!(
            "{}{pem}",
            text_of(&home, "parameters.key")
                .split("-----BEGIN EC PRIVATE")
                .next()
                .unwrap()
        )
        .into_bytes(),
    ));
    for (number, (how, octets)) in written.iter().enumerate() {
        println!("{how}");
        std::fs::write(home.path("some.csr"), octets).unwrap();
        let shown = home.run(&["show", "some.csr", "--json"]).json();
        let items = shown["items"].as_array();
        let shown = items.and_then(|items| items.last()).unwrap_or(&shown);
        assert_eq!(
            (&shown["kind"], &shown["spki_sha256"]),
            (&"request".into(), &pin),
            "{how}"
        );
        assert_eq!(
            (&shown["key"], &shown["refused"]),
            (&"P-256".into(), &Value::Null),
            "{how}"
        );
        let signed = format!("{number}.crt");
        home.run(&[
            "root",
            "sign",
            "some.csr",
            "--root",
            "home/root",
            "--out",
            &signed,
            "--yes",
        ]);
        // The key is a server's by now, which is what a request that was read is refused for.
        let told = finish(
            &mut home.pki(&["issue", "alice", "--csr", "some.csr", "--dry-run"]),
            b"",
        )
        .exits(1);
        assert!(told.stderr.contains(HOST), "{how}: {told}");
    }
    home.run(&["server", "issue", HOST, "--csr", "some.csr", "--out", "tls"]);
    let home = desk();
    std::fs::write(home.path("new.csr"), pem_with_new_label(&home)).unwrap();
    home.run(&["issue", "alice", "--csr", "new.csr"]);
    home.foreign(
        "openssl",
        &[
            "verify",
            "-CAfile",
            "home/public/ca/bundle.pem",
            "alice-phone.crt",
        ],
    )
    .ok();
}

fn pem_with_new_label(home: &Home) -> String {
    text_of(home, "plain.csr").replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")
}

#[test]
fn a_request_without_attributes_is_certified() {
    let home = Home::new();
    home.write_private("bare.csr", BARE);
    home.run(&["issue", "alice", "--csr", "bare.csr"]);
    let shown = home.run(&["show", "bare.csr", "--json"]).json();
    let certified = home.run(&["show", "alice-phone.crt", "--json"]).json();
    assert_eq!(certified["items"][0]["spki_sha256"], shown["spki_sha256"]);
    // The signature is over the octets as they are: any other is none.
    let changed = BARE.replace("AwwBeDBZ", "AwwBeTBZ");
    assert_ne!(changed, BARE);
    home.write_private("changed.csr", &changed);
    let message = "changed.csr has a signature that is not by its own key";
    fails(&home, &["issue", "bob", "--csr", "changed.csr"], refused(message));
}

/// As some embedded devices write requests: nothing stands where RFC 2986 has the attributes, be they none.
const BARE: &str = "\
-----BEGIN CERTIFICATE REQUEST-----
MIHFMGwCAQAwDDEKMAgGA1UEAwwBeDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA
BGSuKFmhdrIGihcPNai0CyZBlu841tbO0B7/tqaQLx0aovSgS5Q8FUK1PNwLvntW
BoL84S/oOBD1igSlHmVy78QwCgYIKoZIzj0EAwIDSQAwRgIhAPS9gkKj+dRP89oH
Y6vNOvw+QhFNENrLTU/8hXykYDk0AiEA1ZSghu/yqNft+bVP08uYQKG1bx5/0ExI
jevzAZMFFsw=
-----END CERTIFICATE REQUEST-----
";

#[test]
fn requests_of_other_programs_are_certified() {
    let home = Home::new();
    let programs = [
        (
            &["keytool"][..],
            "keytool -genkeypair -alias a -keyalg EC -groupname secp256r1 -dname CN=x -keystore k -storepass changeit \
             && keytool -certreq -alias a -keystore k -storepass changeit -file keytool.csr",
        ),
        (
            &["certtool"],
            "printf 'cn = x\\n' > template; certtool --generate-privkey --key-type ecdsa --curve secp256r1 --outfile g.key \
             && certtool --generate-request --load-privkey g.key --template template --outfile certtool.csr",
        ),
        (
            &["certutil"],
            "mkdir nss && certutil -N -d nss --empty-password && head -c 64 /dev/urandom > noise \
             && certutil -R -d nss -k ec -q nistp256 -s CN=x -z noise -a -o certutil.csr",
        ),
    ];
    for (number, (program, script)) in programs.iter().enumerate() {
        if !need(program) || !need(&["sh"]) {
            continue;
        }
        home.foreign("sh", &["-c", script]).ok();
        let file = format!("{}.csr", program[0]);
        home.run(&["issue", &format!("e{number}"), "--csr", &file]);
    }
}

#[test]
fn certificates_are_read_however_they_are_written() {
    if !need(&["openssl", "sh"]) {
        return;
    }
    let home = desk();
    let import = |more: &[&str]| {
        let mut arguments = vec!["server", "import", HOST, "--cert", "some.crt"];
        arguments.extend(more);
        finish(&mut home.pki(&arguments), b"")
    };
    home.foreign(
        "sh",
        &[
            "-c",
            "openssl x509 -in tls.crt -trustout -addtrust serverAuth -out trusted.crt",
        ],
    )
    .ok();
    let mut written = writings(&text_of(&home, "tls.crt"));
    written.push(("with OpenSSL's trust", text_of(&home, "trusted.crt").into_bytes()));
    let whole = home.run(&["show", "tls.crt", "--json"]).json();
    for (how, octets) in written {
        std::fs::write(home.path("some.crt"), octets).unwrap();
        assert_eq!(home.run(&["show", "some.crt", "--json"]).json(), whole, "{how}");
        let told = import(&["--dry-run"]).exits(0);
        assert!(told.stderr.contains("would pin"), "{how}: {told}");
        // Read, and refused for what it says.
        for (arguments, why) in [
            (&["ca", "install", "some.crt"][..], "some.crt: "),
            (
                &["fetch", "home/public", "--root", "some.crt", "--out", "out"],
                "some.crt is no root",
            ),
            (
                &["check", URL, "--cert", "some.crt", "--key", "empty"],
                "empty is empty: there is no private key",
            ),
        ] {
            let told = finish(&mut home.pki(arguments), b"").exits(1);
            assert!(
                told.stderr.contains(why) && !told.stderr.contains("openssl"),
                "{how}: {told}"
            );
        }
        let told = finish(
            &mut home.pki(&["check", URL, "--no-canary", "--ca", "some.crt"]),
            b"",
        );
        assert!(!told.stderr.contains("some.crt"), "{how}: {told}");
        let told = finish(
            &mut home.pki(&[
                "fetch",
                URL,
                "--root",
                "home/root/root.crt",
                "--out",
                "out",
                "--ca",
                "some.crt",
            ]),
            b"",
        );
        assert!(!told.stderr.contains("some.crt"), "{how}: {told}");
    }
    for (number, (how, octets)) in writings(&text_of(&home, "home/root/root.crt"))
        .into_iter()
        .enumerate()
    {
        println!("{how}");
        std::fs::write(home.path("some.crt"), octets).unwrap();
        home.run(&[
            "fetch",
            "home/public",
            "--root",
            "some.crt",
            "--out",
            &format!("out{number}"),
        ]);
    }
}

/// What is no request and no certificate, or not alone: what it is said to be, and a piece of the advice at
/// each kind of door.
const MISFITS: [(&str, &str, &str, &str); 11] = [
    (
        "ec.key",
        "is a private key",
        "`openssl req -new -key ec.key -subj /CN=device -out device.csr`",
        WHOLE,
    ),
    (
        "key.der",
        "is a private key",
        "`openssl req -new -key key.der -subj /CN=device -out device.csr`",
        WHOLE,
    ),
    (
        "locked.key",
        "is a private key",
        "`openssl req -new -key locked.key -subj /CN=device -out device.csr`",
        WHOLE,
    ),
    (
        "parameters.key",
        "is a private key",
        "`openssl req -new -key parameters.key -subj /CN=device -out device.csr`",
        WHOLE,
    ),
    (
        "b.p12",
        "is a PKCS#12 bundle",
        "`openssl pkcs12 -in b.p12 -nocerts -nodes | openssl req -new -key /dev/stdin -subj /CN=device -out device.csr`",
        "`openssl pkcs12 -in b.p12 -nokeys -out certificate.pem`",
    ),
    (
        "chain.p7b",
        "is a PKCS#7 file of certificates",
        "",
        "`openssl pkcs7 -in chain.p7b -print_certs -out certificate.pem`",
    ),
    (
        "chain.p7c",
        "is a PKCS#7 file of certificates",
        "",
        "`openssl pkcs7 -inform der -in chain.p7c -print_certs -out certificate.pem`",
    ),
    (
        "store.jks",
        "is a Java keystore",
        "`keytool -certreq -keystore store.jks -alias ALIAS -file device.csr`",
        "keytool -exportcert -rfc",
    ),
    ("public.pem", "is a public key", "", WHOLE),
    ("page.html", "is a web page", "", WHOLE),
    ("home/public/crl/root.crl", "is a CRL", "", WHOLE),
];

const WHOLE: &str = "-----BEGIN CERTIFICATE-----";

/// At this door the file is refused in these words, and nothing is written.
#[track_caller]
fn refused_at(home: &Home, arguments: &[&str], what: &str, advice: &str) {
    let before = snapshot(home);
    let told = finish(&mut home.pki(arguments), b"").exits(1);
    assert!(told.stderr.contains(what), "{arguments:?}: {what}: {told}");
    assert!(told.stderr.contains(advice), "{arguments:?}: {advice}: {told}");
    assert!(!told.stderr.contains("PRIVATE KEY"), "{told}");
    assert_eq!(snapshot(home), before, "something was written: {told}");
}

fn at_the_doors_of_requests(home: &Home, file: &str, what: &str, advice: &str) {
    let what = format!("pki: {file} {what}");
    for door in [
        &["issue", "eve", "--csr", file][..],
        &["renew", "alice", "--csr", file],
    ] {
        refused_at(home, door, &what, advice);
    }
    // Whose request it is to be is said as well.
    let of_server = advice
        .replace("/CN=device", &format!("/CN={HOST}"))
        .replace("device.csr", &format!("{HOST}.csr"));
    let door = ["server", "issue", HOST, "--csr", file, "--out", "tls"];
    refused_at(home, &door, &what, &of_server);
    // What a root signs is no request of any program's.
    let door = ["root", "sign", file, "--root", "home/root"];
    refused_at(home, &door, &what, "`pki server issue` writes the request");
}

fn at_the_doors_of_certificates(home: &Home, file: &str, what: &str, advice: &str) {
    let told = format!("pki: {file} {what}");
    for door in [
        &["server", "import", "www.acme.example", "--cert", file][..],
        &["ca", "install", file],
        &["check", URL, "--no-canary", "--ca", file],
        &["check", URL, "--cert", file, "--key", "ec.key"],
    ] {
        refused_at(home, door, &told, advice);
    }
    let what = format!("{file}: it {what}");
    let fetch = [
        "fetch",
        URL,
        "--root",
        "home/root/root.crt",
        "--out",
        "out",
        "--ca",
        file,
    ];
    refused_at(home, &fetch, &what, advice);
    refused_at(
        home,
        &["fetch", "home/public", "--root", file, "--out", "out"],
        &what,
        "ca/root.crt",
    );
}

#[test]
fn what_is_something_else_is_named_at_every_door() {
    if !need(&["openssl", "sh"]) {
        return;
    }
    let home = desk();
    home.run(&["server", "import", HOST, "--cert", "tls.crt"]);
    home.run(&["issue", "alice", "--bundle-passphrase-out", "alice.secret"]);
    for (file, what, to_request, to_certificate) in MISFITS {
        at_the_doors_of_requests(
            &home,
            file,
            &format!("{what}, and no certificate signing request\n"),
            to_request,
        );
        at_the_doors_of_certificates(
            &home,
            file,
            &format!("{what}, and no certificate\n"),
            to_certificate,
        );
    }
    at_the_doors_of_requests(
        &home,
        "tls.crt",
        "is a certificate, and no certificate signing request\n",
        "give the request that it was made of",
    );
    at_the_doors_of_certificates(
        &home,
        "plain.csr",
        "is a certificate signing request, and no certificate\n",
        "give the certificate that was made of it",
    );
    at_the_doors_of_requests(
        &home,
        "both.crt",
        "is a private key and a certificate, and no certificate signing request\n",
        "",
    );
    at_the_doors_of_requests(
        &home,
        "empty",
        "is empty: there is no certificate signing request in it\n",
        "",
    );
    at_the_doors_of_certificates(&home, "empty", "is empty: there is no certificate in it\n", WHOLE);
    at_the_doors_of_requests(
        &home,
        "words",
        "is nothing that this program knows, and no certificate signing request\n",
        "",
    );
    at_the_doors_of_certificates(
        &home,
        "words",
        "is nothing that this program knows, and no certificate\n",
        WHOLE,
    );
    home.foreign(
        "sh",
        &[
            "-c",
            "cat plain.csr plain.csr > two.csr; head -n 3 plain.csr > cut.csr",
        ],
    )
    .ok();
    at_the_doors_of_requests(
        &home,
        "two.csr",
        "has 2 certificate signing requests in it, and must have one\n",
        "",
    );
    at_the_doors_of_requests(
        &home,
        "cut.csr",
        "has a certificate signing request in it that is not whole\n",
        "",
    );
    // What is advised works, with the passphrases that the programs ask for.
    for (advice, file) in [
        ("openssl req -in both.csr -out request.csr", "request.csr"),
        (
            "openssl req -new -key key.der -subj /CN=device -out device.csr",
            "device.csr",
        ),
        (
            "openssl pkcs12 -in b.p12 -nocerts -nodes -passin file:secret | openssl req -new -key /dev/stdin -subj /CN=device -out b.csr",
            "b.csr",
        ),
    ] {
        home.foreign("sh", &["-c", advice]).ok();
        home.run(&["show", file]);
    }
    for advice in [
        "openssl pkcs7 -in chain.p7b -print_certs -out certificate.pem",
        "openssl pkcs7 -inform der -in chain.p7c -print_certs -out certificate.pem",
    ] {
        home.foreign("sh", &["-c", advice]).ok();
        home.run(&["server", "import", HOST, "--cert", "certificate.pem"]);
    }
}

#[test]
fn a_key_beside_a_request_or_certificate_is_told_and_never_repeated() {
    if !need(&["openssl", "sh"]) {
        return;
    }
    let home = desk();
    home.run(&["server", "import", HOST, "--cert", "tls.crt"]);
    home.run(&["issue", "alice", "--bundle-passphrase-out", "alice.secret"]);
    at_the_doors_of_requests(
        &home,
        "both.csr",
        "holds a private key: give the request alone, and keep the key where it is\n",
        "`openssl req -in both.csr -out request.csr` takes the request out of it",
    );
    let import = ["server", "import", "www.acme.example", "--cert", "both.crt"];
    refused_at(&home, &import, "both.crt: it holds a private key", "in PEM");
    let fetch = [
        "fetch",
        URL,
        "--root",
        "home/root/root.crt",
        "--out",
        "out",
        "--ca",
        "both.crt",
    ];
    refused_at(&home, &fetch, "both.crt: it holds a private key", "");
    let shown = home.run(&["show", "both.csr"]).stdout;
    let secret = text_of(&home, "ec.key");
    for line in secret.lines().skip(1) {
        assert!(!shown.contains(line), "{shown}");
    }
    assert!(
        shown.contains("private keys are not shown") && shown.contains("certificate signing request, signed"),
        "{shown}"
    );
    let pem = home.run(&["show", "both.csr", "--pem"]).stdout;
    assert_eq!(pem, text_of(&home, "plain.csr"));
}

#[test]
fn a_curve_that_is_written_out_is_told_with_the_command_that_names_it() {
    if !need(&["openssl", "sh"]) {
        return;
    }
    let home = desk();
    home.run(&["server", "import", HOST, "--cert", "tls.crt"]);
    home.run(&["issue", "alice", "--bundle-passphrase-out", "alice.secret"]);
    for form in ["uncompressed", "compressed"] {
        let script = format!(
            "umask 077; openssl ecparam -name prime256v1 -genkey -noout -param_enc explicit -conv_form {form} -out KEY \
             && openssl req -new -key KEY -subj /CN=x -out explicit.csr"
        );
        home.foreign("sh", &["-c", &script]).ok();
        let advice = "openssl ec -in KEY -param_enc named_curve -out named.key";
        at_the_doors_of_requests(
            &home,
            "explicit.csr",
            "has a key whose curve is written out instead of named, which no certificate may have (RFC 5480)\n",
            advice,
        );
    }
    let advice = "umask 077; openssl ec -in KEY -param_enc named_curve -out named.key && openssl req -new -key named.key -subj /CN=device -out device.csr";
    home.foreign("sh", &["-c", advice]).ok();
    home.run(&["issue", "eve", "--csr", "device.csr"]);
}

#[test]
fn any_certificate_is_shown() {
    if !need(&["openssl", "sh"]) {
        return;
    }
    let home = desk();
    for (algorithm, key) in [
        ("rsa -pkeyopt rsa_keygen_bits:2048", "RSA of 2048 bits"),
        ("rsa-pss", "RSA-PSS"),
        ("ec -pkeyopt ec_paramgen_curve:P-384", "P-384"),
        ("ec -pkeyopt ec_paramgen_curve:secp256k1", "secp256k1"),
        (
            "ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
            "EC on a curve that is written out instead of named",
        ),
        ("ed25519", "Ed25519"),
        ("ed448", "Ed448"),
    ] {
        for version in ["-x509", "-new"] {
            let mut script = format!(
                "umask 077; openssl genpkey -algorithm {algorithm} -out k && openssl req {version} -key k -days 9 -subj /CN=x -out r.crt"
            );
            if version == "-new" {
                // Without extensions OpenSSL makes it of version 1, or of version 3 with no more than its
                // identifiers.
                script += " && mv r.crt r.csr && openssl x509 -req -in r.csr -signkey k -days 9 -out r.crt";
            }
            home.foreign("sh", &["-c", &script]).ok();
            let shown = home.run(&["show", "r.crt", "--json"]).json();
            assert_eq!(shown["key"], key, "{algorithm}: {shown}");
            assert_eq!(
                (&shown["subject"], &shown["issuer"]),
                (&"CN=x".into(), &"CN=x".into())
            );
            let pin = "openssl x509 -in r.crt -noout -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64";
            let pin = home.foreign("sh", &["-c", pin]).ok().stdout;
            // OpenSSL names the curve that was written out.
            if !key.contains("written out") {
                assert_eq!(shown["spki_sha256"], pin.trim(), "{algorithm}");
            }
            let serial = home
                .foreign("openssl", &["x509", "-in", "r.crt", "-noout", "-serial"])
                .ok()
                .stdout;
            let number = shown["serial"].as_str().unwrap().trim_start_matches("00");
            assert_eq!(serial.trim(), format!("serial={number}"));
            let text = home.run(&["show", "r.crt"]).stdout;
            for line in ["subject      CN=x", "good         ", "SHA-256      "] {
                assert!(text.contains(line), "{text}");
            }
        }
    }
    // A request of any key is shown, with why it is not certified.
    home.foreign(
        "sh",
        &[
            "-c",
            "openssl req -new -newkey rsa:2048 -nodes -keyout k -subj /CN=x -out r.csr",
        ],
    )
    .ok();
    let shown = home.run(&["show", "r.csr", "--json"]).json();
    assert_eq!(shown["key"], "RSA of 2048 bits");
    assert_eq!(
        shown["refused"],
        "it has a key of the algorithm RSA of 2048 bits: only P-256 keys are certified"
    );
}

#[test]
fn what_cannot_be_shown_is_named_with_the_command_that_does() {
    if !need(&["openssl", "sh"]) {
        return;
    }
    let home = desk();
    for (file, message, advice) in [
        (
            "ec.key",
            "ec.key is a private key, and those are not shown",
            "`openssl pkey -in ec.key -noout -text_pub`",
        ),
        (
            "key.der",
            "key.der is a private key, and those are not shown",
            "`openssl pkey -inform der -in key.der -noout -text_pub`",
        ),
        (
            "public.pem",
            "public.pem is a public key: ",
            "`openssl pkey -pubin -in public.pem -noout -text`",
        ),
        (
            "chain.p7b",
            "chain.p7b is a PKCS#7 file of certificates: ",
            "`openssl pkcs7 -in chain.p7b -print_certs",
        ),
        (
            "store.jks",
            "store.jks is a Java keystore: ",
            "keytool -exportcert",
        ),
        ("page.html", "page.html is a web page: ", "-----BEGIN"),
        ("empty", "empty is empty", "-----BEGIN"),
        (
            "words",
            "words has no certificate in it, no CRL and no certificate signing request",
            "-----BEGIN",
        ),
    ] {
        refused_at(
            &home,
            &["show", &format!("./{file}")],
            &message.replacen(file, &format!("./{file}"), 1),
            &advice.replace(&format!("-in {file}"), &format!("-in ./{file}")),
        );
    }
}

#[test]
fn passphrases_may_have_a_mark_before_them_and_are_never_in_utf_16() {
    if !need(&["openssl"]) {
        return;
    }
    let home = Home::new();
    home.write_private("marked", &format!("\u{FEFF}{ISSUING_PASSPHRASE}\r\n"));
    let issue = |who, file| {
        [
            "issue",
            who,
            "--bundle-passphrase-out",
            who,
            "--passphrase-file",
            file,
        ]
    };
    home.run(&issue("alice", "marked"));
    let key = home.home().join("issuing/issuing.key");
    // A key that was encrypted with the mark as a part of the passphrase opens as it always did.
    std::fs::write(home.path("old"), std::fs::read(&key).unwrap()).unwrap();
    let script = format!(
        "umask 077; openssl pkcs8 -topk8 -in old -passin 'pass:{ISSUING_PASSPHRASE}' -passout 'pass:\u{FEFF}{ISSUING_PASSPHRASE}' \
         -scrypt -scrypt_N 16 -scrypt_r 8 -scrypt_p 1 -v2 aes-256-cbc -out new"
    );
    home.foreign("sh", &["-c", &script]).ok();
    std::fs::copy(home.path("new"), &key).unwrap();
    home.run(&issue("bob", "marked"));
    for (name, unit) in [
        ("little", u16::to_le_bytes as fn(u16) -> [u8; 2]),
        ("big", u16::to_be_bytes),
    ] {
        for mark in ["\u{FEFF}", ""] {
            let text = format!("{mark}{ISSUING_PASSPHRASE}\r\n");
            let octets: Vec<u8> = text.encode_utf16().flat_map(unit).collect();
            home.write_private(name, "");
            std::fs::write(home.path(name), octets).unwrap();
            let message =
                format!("the passphrase of the issuing key in {name} is in UTF-16: save it as UTF-8");
            fails(&home, &issue("eve", name), secret(&message));
        }
    }
}

#[test]
fn a_name_that_a_certificate_does_not_hold_is_told_with_what_it_says() {
    let home = Home::new();
    let name = "Ä".repeat(70);
    let cut = format!("{} (phone)", "Ä".repeat(56));
    let told = home.run(&[
        "issue",
        "alice",
        "--name",
        &name,
        "--bundle-passphrase-out",
        "secret",
    ]);
    let remark =
        format!("the name is too long for a certificate, which says \"{cut}\"; the ledger has all of it");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(&told.stderr).contains(&remark), "{told}");
    let told = home.run(&[
        "issue",
        "bob",
        "--name",
        &"Ä".repeat(56),
        "--bundle-passphrase-out",
        "secret2",
    ]);
    assert!(!told.stderr.contains("too long"), "{told}");
}

#[test]
fn a_servers_certificate_that_clients_refuse_is_refused_or_warned_of() {
    if !need(&["openssl", "sh"]) {
        return;
    }
    let home = desk();
    let make = |key: &str, usage: &str| {
        let usage = if usage.is_empty() {
            String::new()
        } else {
            format!("-addext extendedKeyUsage={usage}")
        };
        let script = format!(
            "umask 077; openssl genpkey -algorithm {key} -out s.key && openssl req -x509 -key s.key -subj /CN=x -days 30 \
             -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:{HOST} {usage} -out s.crt"
        );
        home.foreign("sh", &["-c", &script]).ok();
    };
    let import = ["server", "import", HOST, "--cert", "s.crt", "--dry-run"];
    const P256: &str = "ec -pkeyopt ec_paramgen_curve:P-256";
    for usage in ["clientAuth", "codeSigning,anyExtendedKeyUsage"] {
        make(P256, usage);
        let message = format!(
            "the certificate is not for servers (its extendedKeyUsage lacks serverAuth): clients refuse {HOST} with it"
        );
        let wrong = Wrong {
            exit: 1,
            kind: "purpose",
            message: &message,
        };
        let told = fails(&home, &import, wrong);
        assert!(told.stderr.contains("extendedKeyUsage=serverAuth"), "{told}");
        fails(&home, &import[..5], wrong);
    }
    for usage in ["", "serverAuth", "serverAuth,clientAuth"] {
        make(P256, usage);
        let told = home.run(&import);
        assert!(!told.stderr.contains("the key of"), "{told}");
    }
    for (key, kind) in [
        ("rsa -pkeyopt rsa_keygen_bits:1024", "RSA of 1024 bits"),
        ("ec -pkeyopt ec_paramgen_curve:P-521", "P-521"),
        ("ed25519", "Ed25519"),
    ] {
        make(key, "serverAuth");
        let told = home.run(&import);
        assert!(
            told.stderr.contains(&format!("the key of {HOST} is {kind}: ")),
            "{told}"
        );
    }
}
