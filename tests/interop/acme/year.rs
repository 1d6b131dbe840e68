//! A year in which nobody does anything: clients renew by themselves what their servers show, and the service
//! what it shows itself.

use std::process::Command;

use serde_json::Value;

use super::jose::{Answer, Client, csr_of};
use super::{Given, HOST, NAMES, Ordering, go_by, on_a_server};
use crate::enrollment::set_clock;
use crate::support::{Finished, Server, finish, found, free_port, need, program, wait_until};

/// How many days pass at once. The timer signs CRLs of thirty days meanwhile.
const STEP: i64 = 20;
const YEAR: i64 = 360;

/// A service whose clock is set by a file, as is that of whoever [`Year::also`] is.
struct Year {
    at: Ordering,
    today: i64,
}

/// What wakes the clerk: a client that asks for what it will not get.
struct Waker<'a> {
    client: Client<'a>,
    order: Answer,
    csr: Vec<u8>,
}

impl Year {
    fn begin() -> Option<Self> {
        if !need(&["faketime", "unshare", "openssl"]) {
            return None;
        }
        let home = crate::support::Home::with_certified_server();
        std::fs::write(home.path("clock"), "+0").unwrap();
        let clock = home.path("clock");
        let mut at = Ordering::run(home, |mut command| {
            go_by(&clock, &mut command);
            // What it waits for passes as well.
            command
                .env_remove("FAKETIME_DONT_FAKE_MONOTONIC")
                .env_remove("DONT_FAKE_MONOTONIC");
            command
        })?;
        at.clock = Some(at.home.path("clock"));
        let today = at
            .home
            .foreign("date", &["+%s"])
            .ok()
            .stdout
            .trim()
            .parse()
            .unwrap();
        Some(Self { at, today })
    }

    /// A command that goes by the same clock.
    fn also(&self, mut command: Command) -> Command {
        go_by(&self.at.home.path("clock"), &mut command);
        command
            .current_dir(self.at.home.path("."))
            .env("HOME", self.at.home.path("."));
        command
    }

    fn waker(&self) -> Waker<'_> {
        let client = Client::bound(&self.at, &self.at.account());
        self.at.home.write_private("waker.key", &client.key.pem());
        let names = NAMES.map(|name| format!("DNS:{name}")).join(",");
        let csr = csr_of(&self.at, "waker", &names, &["-key", "waker.key"]);
        let order = client.order(&NAMES).is(201);
        Waker { client, order, csr }
    }

    /// Sets the clock of everybody, and has the timer run.
    fn set(&self, day: i64, waker: &mut Waker<'_>) {
        let clock = format!("+{day}d");
        // Once the clerk has answered he is done with what came before: between two looks at a clock that is
        // set he would find that it was moved.
        waker.wake(&self.at);
        set_clock(&self.at.home, &clock);
        finish(&mut self.at.home.pki_at(&clock, &["publish", "-q"]), b"").ok();
        waker.order = waker.client.order(&NAMES).is(201);
        waker.wake(&self.at);
    }

    /// What a server shows to whoever asks for a name.
    fn shown(&self, port: u16, name: &str) -> Finished {
        let address = format!("127.0.0.1:{port}");
        let arguments = [
            "s_client",
            "-connect",
            &address,
            "-servername",
            name,
            "-showcerts",
        ];
        self.at.home.foreign("openssl", &arguments)
    }

    /// Demands that what is shown at a port is good on that day, by the root alone: its serial number.
    #[track_caller]
    fn demand_good(&self, port: u16, name: &str, day: i64) -> String {
        let time = (self.today + day * 86_400).to_string();
        let home = &self.at.home;
        let said = self.shown(port, name);
        std::fs::write(home.path("shown.pem"), &said.stdout).unwrap();
        let verify = [
            "verify",
            "-attime",
            &time,
            "-CAfile",
            "home/public/ca/root.crt",
            "-verify_hostname",
            name,
        ];
        let chain = ["-untrusted", "shown.pem", "shown.pem"];
        let verified = home.foreign("openssl", &[&verify[..], &chain].concat());
        assert_eq!(verified.code, Some(0), "day {day}: {verified}\n{}", self.at.log());
        let serial = home
            .foreign("openssl", &["x509", "-in", "shown.pem", "-noout", "-serial"])
            .ok();
        serial.stdout.trim().trim_start_matches("serial=").to_owned()
    }
}

impl Waker<'_> {
    #[track_caller]
    fn wake(&self, at: &Ordering) {
        let answer = self.client.finalize(&self.order, &self.csr);
        // The service alone knows why it could not answer.
        assert_eq!(answer.status, 400, "{answer}\n{}", at.log());
        answer.refused(400, "badCSR");
    }
}

/// The name of the emulator that asks the C library what time it is, as no program of Go's does by itself.
fn emulator() -> String {
    format!("qemu-{}", std::env::consts::ARCH)
}

#[test]
fn caddy_renews_by_itself_for_a_year_and_so_does_the_service() {
    if !need(&["caddy", &emulator()]) {
        return;
    }
    let Some(year) = Year::begin() else { return };
    let (home, port) = (&year.at.home, free_port());
    let Given { kid, mac_key } = year.at.account();
    let caddyfile = format!(
        "{{\n admin off\n storage file_system {store}\n acme_ca {origin}/acme/directory\n acme_ca_root {root}\n \
         acme_eab {{\n  key_id {kid}\n  mac_key {mac_key}\n }}\n skip_install_trust\n renew_interval 1s\n \
         ocsp_stapling off\n auto_https disable_redirects\n https_port {port}\n}}\nhttps://{name}:{port} {{\n respond \"hello\"\n}}\n",
        store = home.path("caddy").display(),
        origin = year.at.origin(),
        root = home.public("ca/root.crt").display(),
        name = NAMES[0],
    );
    std::fs::write(home.path("Caddyfile"), caddyfile).unwrap();
    let mut waker = year.waker();
    let mut caddy = year.also(on_a_server(&home.public("ca/root.crt"), &emulator()));
    caddy
        .arg(found("caddy").unwrap())
        .args(["run", "--config", "Caddyfile", "--adapter", "caddyfile"])
        .stdout(std::fs::File::create(home.path("caddy.log")).unwrap())
        .stderr(std::fs::File::create(home.path("caddy.err")).unwrap());
    let shown = |day| {
        let answers = || std::net::TcpStream::connect(("127.0.0.1", port)).ok();
        answers().map(|_| year.demand_good(port, NAMES[0], day))
    };
    let _caddy = Server::start(&mut caddy, || year.at.log().contains(&kid).then_some(port)).unwrap();
    // It listens before it has one, and takes it into use a while after it was certified.
    wait_until("Caddy's first certificate", || {
        let said = year.shown(port, NAMES[0]).stdout;
        said.contains("BEGIN CERTIFICATE").then_some(())
    });
    let first = year.demand_good(port, NAMES[0], 0);
    let [mut serials, mut own] = [vec![first], vec![year.demand_good(year.at.server.port, HOST, 0)]];
    for day in (STEP..=YEAR).step_by(usize::try_from(STEP).unwrap()) {
        year.set(day, &mut waker);
        // Two thirds of its life are over.
        if day % 60 == 0 {
            let before = serials.last().unwrap().clone();
            serials.push(wait_until(&format!("a renewal on day {day}"), || {
                shown(day).filter(|serial| *serial != before)
            }));
        } else {
            assert_eq!(shown(day).as_ref(), serials.last(), "day {day}");
        }
        own.push(year.demand_good(year.at.server.port, HOST, day));
    }
    serials.dedup();
    own.dedup();
    assert_eq!(serials.len(), 7, "{serials:?}");
    assert!(own.len() >= 6, "{own:?}");
    assert!(!year.at.log().contains("warning"), "{}", year.at.log());
}

#[test]
fn certbot_renews_for_nginx_for_a_year() {
    if !need(&["certbot", "nginx"]) {
        return;
    }
    let Some(year) = Year::begin() else { return };
    let (home, port) = (&year.at.home, free_port());
    let Given { kid, mac_key } = year.at.account();
    let mut waker = year.waker();
    let certbot = |arguments: &[&str]| {
        let mut command = year.also(on_a_server(&home.public("ca/root.crt"), "certbot"));
        command
            .args(arguments)
            .args([
                "--config-dir",
                "certbot",
                "--work-dir",
                "certbot",
                "--logs-dir",
                "certbot",
                "-n",
            ])
            .env("REQUESTS_CA_BUNDLE", home.public("ca/root.crt"))
            // Python sleeps until a time, and faketime must know of which clock.
            .env_remove("FAKETIME_DONT_FAKE_MONOTONIC")
            .env_remove("DONT_FAKE_MONOTONIC");
        finish(&mut command, b"").ok()
    };
    let directory = format!("{}/acme/directory", year.at.origin());
    let mut arguments = vec![
        "certonly",
        "--standalone",
        "--agree-tos",
        "-m",
        "ops@acme.example",
    ];
    arguments.extend([
        "--server",
        &directory,
        "--eab-kid",
        &kid,
        "--eab-hmac-key",
        &mac_key,
    ]);
    arguments.extend(["--deploy-hook", "kill -HUP $(cat nginx.pid) || true"]);
    let names = NAMES.map(|name| format!("--domain={name}"));
    arguments.extend(names.iter().map(String::as_str));
    certbot(&arguments);
    let config = format!(
        "daemon off; pid nginx.pid; error_log stderr; events {{}}\nhttp {{ access_log off; \
         server {{ listen 127.0.0.1:{port} ssl; server_name {names};\n\
         ssl_certificate certbot/live/{first}/fullchain.pem; ssl_certificate_key certbot/live/{first}/privkey.pem;\n\
         return 200 hello; }} }}\n",
        names = NAMES.join(" "),
        first = NAMES[0],
    );
    std::fs::write(home.path("nginx.conf"), config).unwrap();
    let mut nginx = program("nginx");
    nginx
        .args(["-e", "stderr", "-c", "nginx.conf", "-p"])
        .arg(home.path(""))
        .current_dir(home.path("."))
        .stderr(std::fs::File::create(home.path("nginx.log")).unwrap());
    let answers = || {
        std::net::TcpStream::connect(("127.0.0.1", port))
            .is_ok()
            .then_some(port)
    };
    let _nginx = Server::start(&mut nginx, answers).unwrap();
    let mut serials = vec![year.demand_good(port, NAMES[0], 0)];
    for day in (STEP..=YEAR).step_by(usize::try_from(STEP).unwrap()) {
        year.set(day, &mut waker);
        // As its timer has it, twice a day: it renews what ends within thirty days.
        let said = certbot(&["renew", "--no-random-sleep-on-renew"]);
        let before = serials.last().unwrap().clone();
        if said.text().contains("No renewals were attempted") {
            assert_eq!(year.demand_good(port, NAMES[1], day), before, "day {day}");
        } else {
            serials.push(wait_until(&format!("nginx with what came on day {day}"), || {
                Some(year.demand_good(port, NAMES[1], day)).filter(|serial| *serial != before)
            }));
        }
    }
    assert_eq!(serials.len(), 7, "{serials:?}");
    // Whoever looks sees what was ordered, and who has.
    let accounts = year.at.accounts();
    let own = accounts.iter().find(|account| account["kid"] == kid.as_str());
    let known = own.unwrap()["certificates"].as_array().unwrap();
    assert!(
        known
            .iter()
            .all(|one: &Value| serials.iter().any(|serial| one["serial"] == serial.as_str()))
    );
}
