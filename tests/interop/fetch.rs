//! `pki fetch` from a real nginx, for a real nginx: one serves the publication by https, the other lets
//! devices in by what was fetched.

use std::path::Path;
use std::process::Command;

use crate::support::{Bundle, EC, HOST, Home, Server, free_port, need, program, self_signed, wait_until};

const PROGRAMS: [&str; 3] = ["nginx", "curl", "openssl"];

#[test]
fn a_revoked_phone_is_refused_by_the_servers_that_fetch() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    self_signed(&home, "server", &format!("DNS:{HOST},IP:127.0.0.1"), 30, &EC);
    let web = Nginx::start(&home, "web", |port| {
        format!(
            "server {{ listen 127.0.0.1:{port} ssl; root {}; }}",
            home.home().display()
        )
    });
    for area in ["public", "server"] {
        fetch(&home, web.0.port, area, "touch reloaded");
    }
    let api = Nginx::start(&home, "api", |port| {
        let out = |file: &str| home.path("out").join(file).display().to_string();
        let [ca, crl, map] = [
            "public/ca/bundle.pem",
            "public/crl/bundle.pem",
            "server/revoked.map",
        ]
        .map(out);
        format!(
            "map $ssl_client_serial $revoked {{ default 0; include {map}; }}\n\
             server {{ listen 127.0.0.1:{port} ssl; ssl_verify_client on; ssl_verify_depth 2;\n\
             ssl_client_certificate {ca}; ssl_crl {crl};\n\
             location / {{ return 200 \"revoked=$revoked\\n\"; }} }}"
        )
    });
    let get = |bundle: &Bundle| api.0.curl(&home, Some(bundle), "/").0;
    assert_eq!((get(&home.alice()), get(&home.bob())), (Some(200), Some(200)));

    home.run(&["revoke", "alice", "--yes"]);
    assert_eq!(get(&home.alice()), Some(200), "nobody has fetched yet");
    let reload = format!("{} -s reload", api.command(&home));
    let before = api.exited(&home);
    for area in ["public", "server"] {
        fetch(&home, web.0.port, area, &reload);
    }
    wait_until("nginx to reload", || (api.exited(&home) > before).then_some(()));
    assert_eq!((get(&home.alice()), get(&home.bob())), (Some(400), Some(200)));
}

#[test]
fn two_revocations_in_one_second_both_arrive() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    self_signed(&home, "server", &format!("DNS:{HOST},IP:127.0.0.1"), 30, &EC);
    let web = Nginx::start(&home, "web", |port| {
        format!(
            "server {{ listen 127.0.0.1:{port} ssl; root {}; }}",
            home.home().display()
        )
    });
    // nginx makes its ETag of a date in seconds and the length. This second is never over, however slow the
    // machine is.
    let second = std::time::SystemTime::now() + std::time::Duration::from_secs(3600);
    for phone in ["alice", "bob"] {
        home.run(&["revoke", phone, "--yes"]);
        let manifest = std::fs::File::options()
            .write(true)
            .open(home.public("manifest.jws"))
            .unwrap();
        manifest.set_modified(second).unwrap();
        fetch(&home, web.0.port, "public", "true");
    }
    let crl = std::fs::read(home.path("out/public/crl/issuing.crl")).unwrap();
    assert_eq!(crl, std::fs::read(home.public("crl/issuing.crl")).unwrap());
}

#[test]
fn nginx_is_asked_once_where_nothing_is_new_and_answers_304() {
    if !need(&PROGRAMS) {
        return;
    }
    let home = Home::staffed();
    self_signed(&home, "server", &format!("DNS:{HOST},IP:127.0.0.1"), 30, &EC);
    let web = Nginx::start(&home, "web", |port| {
        format!(
            "log_format asked '$uri $status';\n\
             server {{ listen 127.0.0.1:{port} ssl; root {}; access_log asked.log asked; }}",
            home.home().display()
        )
    });
    // Its ETags are made of dates: those of files that are some seconds old can be gone by.
    let manifest = std::fs::File::options()
        .write(true)
        .open(home.public("manifest.jws"))
        .unwrap();
    manifest
        .set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(60))
        .unwrap();
    fetch(&home, web.0.port, "public", "touch reloaded");
    std::fs::remove_file(home.path("reloaded")).unwrap();
    let log = || std::fs::read_to_string(home.path("web/asked.log")).unwrap_or_default();
    let before = wait_until("the log", || {
        Some(log()).filter(|log| log.contains("manifest.json 200"))
    });
    fetch(&home, web.0.port, "public", "touch reloaded");
    let asked = wait_until("the log", || {
        log()
            .strip_prefix(&before)
            .filter(|new| !new.is_empty())
            .map(str::to_owned)
    });
    assert_eq!(asked, "/public/manifest.jws 304\n");
    assert!(!home.path("reloaded").exists());
}

#[track_caller]
fn fetch(home: &Home, port: u16, area: &str, exec: &str) {
    let source = format!("https://127.0.0.1:{port}/{area}");
    let out = format!("out/{area}");
    let mut arguments = vec![
        "fetch",
        &source,
        "--root",
        "home/root/root.crt",
        "--ca",
        "server.crt",
        "--out",
        &out,
    ];
    arguments.extend(["--exec", exec]);
    home.run(&arguments);
}

/// An nginx in a directory of its own, beside the home.
struct Nginx(Server, &'static str);

impl Nginx {
    fn start(home: &Home, name: &'static str, http: impl Fn(u16) -> String) -> Self {
        std::fs::create_dir_all(home.path(name).join("temp")).unwrap();
        for _ in 0..10 {
            let port = free_port();
            std::fs::write(
                home.path(name).join("nginx.conf"),
                configuration(home, &http(port)),
            )
            .unwrap();
            let pid = home.path(name).join("nginx.pid");
            let ready = || {
                std::fs::read_to_string(&pid)
                    .is_ok_and(|pid| !pid.trim().is_empty())
                    .then_some(port)
            };
            if let Some(server) = Server::start(&mut nginx(&home.path(name)), ready) {
                return Self(server.with_workers(), name);
            }
            let log = std::fs::read_to_string(home.path(name).join("error.log")).unwrap_or_default();
            assert!(
                log.contains("Address already in use"),
                "nginx does not start: {log}"
            );
        }
        panic!("no port is free");
    }

    /// How a shell calls it.
    fn command(&self, home: &Home) -> String {
        let command = nginx(&home.path(self.1));
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words
            .map(|word| word.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// How many workers have ended.
    fn exited(&self, home: &Home) -> usize {
        let log = std::fs::read_to_string(home.path(self.1).join("error.log")).unwrap_or_default();
        log.matches("exited with code 0").count()
    }
}

fn nginx(prefix: &Path) -> Command {
    let mut command = program("nginx");
    command
        .arg("-p")
        .arg(prefix)
        .args(["-e", "error.log", "-c", "nginx.conf"]);
    command.stdin(std::process::Stdio::null());
    command
}

fn configuration(home: &Home, http: &str) -> String {
    let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path temp/{kind};\n"))
        .collect();
    // The workers of a test's nginx must read what is in a home, which is private.
    let user = if crate::support::is_root() {
        "user root;"
    } else {
        ""
    };
    let [certificate, key] = ["server.crt", "server.key"].map(|file| home.path(file).display().to_string());
    format!(
        "daemon off;\n{user}\nworker_processes 1;\npid nginx.pid;\nerror_log error.log info;\n\
         events {{ worker_connections 64; }}\nhttp {{\naccess_log off;\n{temp}\
         ssl_certificate {certificate};\nssl_certificate_key {key};\n{http}\n}}\n"
    )
}
