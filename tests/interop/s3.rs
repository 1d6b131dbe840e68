//! A publication in a bucket of a real S3 server (moto): written whole, in order, and never an older one in
//! the place of a newer.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::support::{
    EC, Finished, HOST, Home, PKI, Server, copy_of, files_below, finish, free_port, need, program,
    self_signed,
};

const PROGRAMS: [&str; 2] = ["moto_server", "openssl"];
const BUCKET: &str = "acme-pki";
/// That somebody asks who may is all that the server wants to know; it verifies no signature.
const SOMEBODY: &str =
    "AWS4-HMAC-SHA256 Credential=AKIA1/20261122/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x";

/// An S3 server with an empty bucket.
struct Store(Server);

impl Store {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(more: &[&str]) -> Self {
        let started = Server::on_free_port(|port| {
            let mut command = program("moto_server");
            command
                .args(["-H", "127.0.0.1", "-p", &port.to_string()])
                .args(more);
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command
        });
        Self(started.expect("moto does not start"))
    }

    fn with_bucket() -> Self {
        let store = Self::start();
        store.put("", b"", &[]);
        store
    }

    fn url(&self, key: &str) -> String {
        format!("http://127.0.0.1:{}/{BUCKET}/{key}", self.0.port)
    }

    fn put(&self, key: &str, octets: &[u8], headers: &[(&str, &str)]) {
        let mut request = ureq::put(self.url(key)).header("authorization", SOMEBODY);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        assert_eq!(request.send(octets).unwrap().status(), 200);
    }

    fn delete(&self, key: &str) {
        ureq::delete(self.url(key))
            .header("authorization", SOMEBODY)
            .call()
            .unwrap();
    }

    /// What an object has in it, and a header of it.
    fn get(&self, key: &str, header: &str) -> (Vec<u8>, String) {
        let mut response = ureq::get(self.url(key))
            .header("authorization", SOMEBODY)
            .call()
            .unwrap();
        let value = response
            .headers()
            .get(header)
            .map(|value| value.to_str().unwrap().to_owned());
        (
            response.body_mut().read_to_vec().unwrap(),
            value.unwrap_or_default(),
        )
    }

    /// Whether it holds a half of a home's own publication.
    #[track_caller]
    fn demand(&self, home: &Home, area: &str) {
        let own = home.home().join(area);
        for file in files_below(&own) {
            let (octets, _) = self.get(&format!("{area}/{file}"), "etag");
            assert!(octets == std::fs::read(own.join(&file)).unwrap(), "{area}/{file}");
        }
    }
}

/// Has a home publish to the bucket at this port.
fn configure(home: &Home, port: u16, more: &str) {
    home.write_private(
        "credentials",
        "[default]\naws_access_key_id = AKIA1\naws_secret_access_key = s/e+c=ret\n",
    );
    let table = format!(
        "[[publish]]\npublic = \"s3://{BUCKET}/public\"\nserver = \"s3://{BUCKET}/server\"\nregion = \"eu-central-1\"\n\
         endpoint = \"http://127.0.0.1:{port}\"\ncredentials_file = \"{}\"\n{more}",
        home.path("credentials").display()
    );
    home.configure_table(&table);
}

fn again(home: &Home, arguments: &[&str]) -> Finished {
    finish(&mut home.pki(arguments), b"")
}

#[test]
fn both_halves_reach_the_bucket_and_a_revocation_in_the_same_command() {
    if !need(&PROGRAMS) {
        return;
    }
    let (home, store) = (Home::staffed(), Store::with_bucket());
    configure(&home, store.0.port, "");
    home.run(&["publish"]);
    store.demand(&home, "public");
    store.demand(&home, "server");
    home.run(&["revoke", "alice", "--yes"]);
    store.demand(&home, "public");
    store.demand(&home, "server");
    for (key, kind) in [
        ("public/crl/issuing.crl", "application/pkix-crl"),
        ("public/ca/root.der", "application/pkix-cert"),
        ("public/ca/bundle.pem", "application/x-pem-file"),
        ("public/manifest.jws", "application/jose"),
        ("server/devices.json", "application/json"),
        ("server/revoked.map", "text/plain"),
    ] {
        assert_eq!(store.get(key, "content-type").1, kind, "{key}");
        assert_eq!(store.get(key, "cache-control").1, "no-cache", "{key}");
    }
    assert!(
        home.run(&["publish", "--dry-run", "--json"]).json()["would"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[test]
fn one_half_is_published_alone_where_it_is_named() {
    if !need(&PROGRAMS) {
        return;
    }
    let (home, store) = (Home::staffed(), Store::with_bucket());
    let between = Between::start(store.0.port, |_| {});
    configure(&home, between.port, "");
    home.run(&["publish", "s3://acme-pki/public"]);
    let puts = between.asked("PUT");
    assert_eq!(puts.len(), 12);
    assert!(puts.iter().all(|line| line.contains("/public/")), "{puts:?}");
}

#[test]
fn a_server_fetches_what_was_put_into_the_bucket() {
    if !need(&PROGRAMS) {
        return;
    }
    let (home, store) = (Home::staffed(), Store::with_bucket());
    configure(&home, store.0.port, "");
    home.run(&["publish"]);
    let own = home.home().join("public");
    for file in files_below(&own) {
        let place = home.path("source").join(&file);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, store.get(&format!("public/{file}"), "etag").0).unwrap();
    }
    home.run(&["fetch", "source", "--root", "home/root/root.crt", "--out", "out"]);
}

#[test]
fn where_nothing_has_changed_nothing_is_written() {
    if !need(&PROGRAMS) {
        return;
    }
    let (home, store) = (Home::staffed(), Store::with_bucket());
    let between = Between::start(store.0.port, |_| {});
    configure(&home, between.port, "");
    home.run(&["publish"]);
    let puts = between.asked("PUT");
    assert_eq!(puts.len(), 10 + 4 + 2 * 2, "{puts:?}");
    // The servers' half first, what shrinks what is accepted before all, and each manifest last.
    let place = |key: &str| {
        puts.iter()
            .position(|line| line.contains(&format!("/{key}?")))
            .unwrap()
    };
    assert_eq!(place("server/revoked.map"), 0);
    assert!(place("server/manifest.json") < place("server/manifest.jws"));
    assert!(place("public/crl/issuing.crl") < place("public/ca/root.crt"));
    assert_eq!(place("public/manifest.jws"), puts.len() - 1);
    home.run(&["publish"]);
    assert!(between.asked("PUT").is_empty());
    // Of a new CRL what has changed.
    home.run(&["revoke", "alice", "--yes"]);
    assert_eq!(between.asked("PUT").len(), 3 + 4 + 2 * 2);
}

#[test]
fn an_older_publication_never_replaces_a_newer_one_whenever_that_comes() {
    if !need(&PROGRAMS) {
        return;
    }
    for at in [
        "server/revoked.map",
        "public/crl/bundle.pem",
        "public/manifest.json",
        "public/manifest.jws",
    ] {
        let (home, store) = (Home::staffed(), Store::with_bucket());
        configure(&home, store.0.port, "");
        home.run(&["publish"]);
        let other = copy_of(&home);
        // While the first is about to put this object, a copy of its home publishes something else.
        let rival = Arc::new(Mutex::new(Some(other)));
        let theirs = rival.clone();
        let between = Between::start(store.0.port, move |line| {
            if !line.starts_with("PUT ") || !line.contains(&format!("/{at}?")) {
                return;
            }
            let slot = theirs.lock().unwrap();
            if let Some(other) = slot.as_ref()
                && !other.path("done").exists()
            {
                std::fs::write(other.path("done"), "").unwrap();
                std::thread::sleep(Duration::from_millis(1100));
                other.run(&["revoke", "bob", "--yes", "-q"]);
            }
        });
        let toml = home.home().join("pki.toml");
        let text = std::fs::read_to_string(&toml).unwrap();
        std::fs::write(
            &toml,
            text.replace(&store.0.port.to_string(), &between.port.to_string()),
        )
        .unwrap();
        let lost = again(&home, &["revoke", "alice", "--yes"]).exits(5);
        let other = rival.lock().unwrap().take().unwrap();
        assert!(other.path("done").exists(), "{at}");
        let area = at.split('/').next().unwrap();
        let told = format!("s3://{BUCKET}/{area} was not published to: publication ");
        assert!(lost.stderr.contains(&told), "{at}: {lost}");
        assert!(
            lost.stderr.contains("another home publishes there, too"),
            "{at}: {lost}"
        );
        store.demand(&other, area);
        // What is near was published to all the same.
        let map = std::fs::read_to_string(home.server("revoked.map")).unwrap();
        assert_eq!(map, format!("{} 1;\n", home.alice().serial));
        // From then on the later number goes on, and nobody whom either has revoked gets in.
        home.run(&["publish", "-q"]);
        store.demand(&home, area);
        if area == "public" {
            let map = std::fs::read_to_string(home.server("revoked.map")).unwrap();
            assert_eq!(map.lines().count(), 2, "{at}");
        }
    }
}

#[test]
fn a_home_from_an_older_backup_takes_in_what_the_bucket_revokes() {
    if !need(&PROGRAMS) {
        return;
    }
    let (home, store) = (Home::staffed(), Store::with_bucket());
    configure(&home, store.0.port, "");
    home.run(&["publish"]);
    let backup = copy_of(&home);
    home.run(&["revoke", "alice", "--yes"]);
    let said = backup.run(&["publish"]);
    assert!(
        said.stderr
            .contains("recorded 1 revocation that the published CRL has"),
        "{said}"
    );
    store.demand(&backup, "public");
}

#[test]
fn what_was_tampered_with_is_put_right_and_a_made_up_number_is_not_heeded() {
    if !need(&PROGRAMS) {
        return;
    }
    let (home, store) = (Home::staffed(), Store::with_bucket());
    configure(&home, store.0.port, "");
    home.run(&["publish"]);
    let number = u64::MAX.to_string();
    store.put("public/crl/bundle.pem", b"x", &[]);
    store.put("public/crl/root.crl", b"x", &[("x-amz-meta-pki-number", &number)]);
    store.put(
        "public/ca/root.crt",
        b"x",
        &[("x-amz-meta-pki-number", "4102444800")],
    );
    store.put("server/manifest.jws", &vec![b'x'; 5 << 20], &[]);
    store.delete("public/ca/bundle.pem");
    home.run(&["publish"]);
    store.demand(&home, "public");
    store.demand(&home, "server");
}

#[test]
fn a_store_that_cannot_be_reached_keeps_no_revocation_back() {
    if !need(&PROGRAMS) {
        return;
    }
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    for (port, why) in [
        (free_port(), "the store cannot be reached"),
        (silent.local_addr().unwrap().port(), "the store cannot be reached"),
    ] {
        let home = Home::staffed();
        configure(&home, port, "");
        let begun = Instant::now();
        let said = again(&home, &["revoke", "alice", "--yes"]).exits(5);
        // Once for each half.
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        assert!(said.stderr.contains(why), "{said}");
        assert!(
            said.stderr
                .contains(&format!("s3://{BUCKET}/public was not published to")),
            "{said}"
        );
        let map = std::fs::read_to_string(home.server("revoked.map")).unwrap();
        assert_eq!(map, format!("{} 1;\n", home.alice().serial));
    }
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    if !need(&PROGRAMS) {
        return;
    }
    let (home, store) = (Home::staffed(), Store::start());
    configure(&home, store.0.port, "");
    let said = again(&home, &["publish"]).exits(5);
    assert!(
        said.stderr
            .contains("the store answered with status 404 (\"NoSuchBucket\")"),
        "{said}"
    );
}

#[test]
fn a_key_that_others_can_read_or_that_is_not_there_is_refused() {
    let home = Home::staffed();
    configure(&home, 9, "profile = \"other\"\n");
    let place = home.path("credentials");
    let refused = |why: &str| {
        let said = again(&home, &["publish"]).exits(5);
        assert!(said.stderr.contains(why), "{said}");
        assert!(!said.stderr.contains("s/e+c=ret"), "{said}");
    };
    refused("credentials has no aws_access_key_id in the profile [other]");
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o640)).unwrap();
    refused("credentials can be read or changed by others (mode 0640)");
    std::fs::remove_file(&place).unwrap();
    refused("credentials could not be read");
}

#[test]
fn a_store_of_ones_own_is_asked_by_https() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    self_signed(&home, "s3", &format!("DNS:{HOST},IP:127.0.0.1"), 30, &EC);
    let [certificate, key] = ["s3.crt", "s3.key"].map(|file| home.path(file).display().to_string());
    let store = Store::start_with(&["-s", "-c", &certificate, "-k", &key]);
    let port = store.0.port;
    configure(&home, port, &format!("ca = \"{certificate}\"\n"));
    let toml = home.home().join("pki.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    std::fs::write(&toml, text.replace("http://127.0.0.1", "https://127.0.0.1")).unwrap();
    let make = format!("https://127.0.0.1:{port}/{BUCKET}");
    let somebody = format!("authorization: {SOMEBODY}");
    let asked = ["-sf", "--cacert", "s3.crt", "-H", &somebody];
    home.foreign("curl", &[&asked[..], &["-X", "PUT", &make]].concat())
        .ok();
    home.run(&["publish"]);
    let place = format!("{make}/public/manifest.json");
    let got = home.foreign("curl", &[&asked[..], &[&place]].concat()).ok();
    assert_eq!(
        got.stdout,
        std::fs::read_to_string(home.public("manifest.json")).unwrap()
    );
}

#[test]
fn a_command_follows_a_change_in_its_own_places_and_no_other() {
    let home = Home::staffed();
    std::fs::create_dir(home.path("web")).unwrap();
    for (area, command) in [
        ("public", "echo public >> ran"),
        ("server", "echo server >> ran; echo said"),
    ] {
        home.configure_table(&format!(
            "[[publish]]\n{area} = \"{}\"\ncommand = [\"sh\", \"-c\", \"{command}\"]\n",
            home.path("web").join(area).display()
        ));
    }
    let ran = || std::fs::read_to_string(home.path("ran")).unwrap_or_default();
    let said = home.run(&["publish", "--json"]);
    assert_eq!(ran(), "public\nserver\n");
    assert!(said.stderr.contains("said"), "{said}");
    said.json();
    home.run(&["publish"]);
    assert_eq!(ran(), "public\nserver\n");
    // A new device changes nothing that anyone may read.
    home.issue("carol", &[]);
    assert_eq!(ran(), "public\nserver\nserver\n");
}

#[test]
fn a_command_that_fails_is_exit_5_and_told_as_it_can_be_run() {
    let home = Home::staffed();
    std::fs::create_dir(home.path("web")).unwrap();
    let place = home.path("web/public").display().to_string();
    home.configure_table(&format!(
        "[[publish]]\npublic = \"{place}\"\ncommand = [\"sh\", \"-c\", \"exit 7\"]\n"
    ));
    let said = again(&home, &["publish"]).exits(5);
    assert!(
        said.stderr.contains(&format!(
            "the command of the [[publish]] of {place} failed: sh: exit status: 7"
        )),
        "{said}"
    );
    assert!(
        said.stderr.contains("which runs it again: sh -c 'exit 7'"),
        "{said}"
    );
    assert!(home.path("web/public/manifest.jws").exists());
}

#[test]
fn a_command_may_be_one_that_needs_the_home() {
    let home = Home::staffed();
    std::fs::create_dir(home.path("web")).unwrap();
    let place = home.path("web/public").display().to_string();
    home.configure_table(&format!(
        "[[publish]]\npublic = \"{place}\"\ncommand = [\"{PKI}\", \"publish\", \"--wait\", \"1s\"]\n"
    ));
    again(&home, &["publish"]).ok();
}

/// A way to a server that sees what is asked, and may hold it up.
struct Between {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Between {
    /// `before` is called with each request's first line before it goes on.
    fn start(port: u16, before: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let own = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, before) = (asked.clone(), Arc::new(before));
        // The thread ends with the process of its test.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (log, before) = (log.clone(), before.clone());
                std::thread::spawn(move || {
                    let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
                    let (mut back, mut there) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut back, &mut there);
                        let _ = there.shutdown(std::net::Shutdown::Both);
                    });
                    forward(client, server, |line| {
                        log.lock().unwrap().push(line.to_owned());
                        before(line);
                    });
                });
            }
        });
        Self { port: own, asked }
    }

    /// The first lines of what was asked with this method since the last time.
    fn asked(&self, method: &str) -> Vec<String> {
        let all = std::mem::take(&mut *self.asked.lock().unwrap());
        all.into_iter().filter(|line| line.starts_with(method)).collect()
    }
}

/// Hands requests on, one after the other.
fn forward(mut client: TcpStream, mut server: TcpStream, before: impl Fn(&str)) {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut octet = [0];
            match client.read(&mut octet) {
                Ok(1) => head.push(octet[0]),
                _ => {
                    let _ = server.shutdown(std::net::Shutdown::Both);
                    return;
                }
            }
        }
        let text = String::from_utf8_lossy(&head).to_lowercase();
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        if client.read_exact(&mut body).is_err() {
            return;
        }
        before(String::from_utf8_lossy(&head).lines().next().unwrap());
        if server
            .write_all(&head)
            .and_then(|()| server.write_all(&body))
            .is_err()
        {
            return;
        }
    }
}
