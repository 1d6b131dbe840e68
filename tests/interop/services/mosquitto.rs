//! Mosquitto, and its own client.

use std::fs::File;
use std::process::Stdio;

use super::{
    Identity, Service, devices_get_in_and_nobody_else, marked, printed, program_at, shown_to_openssl,
};
use crate::support::{Home, Server, finish, is_root, program, wait_until};

struct Mosquitto;

#[test]
fn mosquitto_lets_in_devices_and_nobody_else() {
    devices_get_in_and_nobody_else::<Mosquitto>();
}

impl Service for Mosquitto {
    const PROGRAMS: &[&str] = &["mosquitto", "mosquitto_pub", "jq"];

    fn prepare(home: &Home) -> Self {
        let text = printed(home, "mosquitto", &["--port", "8883"]);
        let acl = home.path("devices.acl");
        let text = text.replace("/etc/mosquitto/devices.acl", acl.to_str().unwrap());
        let script = marked(&text, "# acl: ");
        let rules = || finish(program("sh").args(["-c", &script]), b"");
        std::fs::write(acl, rules().ok().stdout).unwrap();
        // Where a part of it fails, all of it does.
        std::fs::rename(home.home(), home.path("away")).unwrap();
        assert_ne!(rules().code, Some(0));
        std::fs::rename(home.path("away"), home.home()).unwrap();
        std::fs::write(home.path("pki.conf"), text).unwrap();
        Self
    }

    fn start(&self, home: &Home, at: Option<&str>) -> Server {
        let text = std::fs::read_to_string(home.path("pki.conf")).unwrap();
        let user = if is_root() { "user root\n" } else { "" };
        let log = File::create(home.path("mosquitto.log")).unwrap();
        let command = |port: u16| {
            let text = text.replace("listener 8883\n", &format!("listener {port} 127.0.0.1\n"));
            std::fs::write(
                home.path("mosquitto.conf"),
                format!("{user}log_dest stderr\nlog_type all\n{text}"),
            )
            .unwrap();
            let mut mosquitto = program_at("mosquitto", at);
            mosquitto
                .args(["-c", "mosquitto.conf"])
                .current_dir(home.path(""))
                .stdin(Stdio::null());
            mosquitto.stderr(log.try_clone().unwrap());
            mosquitto
        };
        Server::on_free_port(command)
            .unwrap_or_else(|| panic!("{}", std::fs::read_to_string(home.path("mosquitto.log")).unwrap()))
    }

    fn take_up_publication(&self, home: &Home, server: Server) -> Server {
        drop(server);
        self.start(home, None)
    }

    fn take_up_certificate(&self, home: &Home, server: Server) -> Server {
        let read = || std::fs::read_to_string(home.path("mosquitto.log")).unwrap();
        let before = read().matches("Reloading config").count();
        server.hang_up();
        wait_until("a reload", || {
            (read().matches("Reloading config").count() > before).then_some(())
        });
        server
    }

    fn shown_certificate(&self, home: &Home, server: &Server, who: &Identity) -> String {
        shown_to_openssl(home, server, who, &[])
    }

    fn lets_in(&self, home: &Home, server: &Server, who: Option<&Identity>) -> Option<String> {
        publish(home, server, who, "employees/alice/x").then_some(())?;
        let log = std::fs::read_to_string(home.path("mosquitto.log")).unwrap();
        let (_, name) = log.rsplit_once(", u'")?;
        name.split('\'').next().map(str::to_owned)
    }

    fn keeps_apart(&self, home: &Home, server: &Server, alice: &Identity, mallory: &Identity) {
        let log = || std::fs::read_to_string(home.path("mosquitto.log")).unwrap();
        let denied = || log().matches("Denied PUBLISH").count();
        for (who, topic, allowed) in [
            (alice, "employees/alice/x", true),
            (mallory, "employees/mallory/x", true),
            (mallory, "employees/alice/x", false),
            (mallory, "x", false),
        ] {
            let before = denied();
            assert!(publish(home, server, Some(who), topic), "{topic}");
            assert_eq!(denied() == before, allowed, "{topic}: {}", log());
        }
        // Nobody takes the identifier by which another is thrown out.
        assert!(!log().contains(" as somebody "), "{}", log());
    }

    fn name_of_alice(&self) -> &'static str {
        "CN=Alice Doe (phone),UID=alice/phone,O=Acme Ltd"
    }
}

/// Whether the broker takes a connection and a message by it. It says no by its log alone where an ACL
/// forbids the message.
fn publish(home: &Home, server: &Server, who: Option<&Identity>, topic: &str) -> bool {
    let port = server.port.to_string();
    let mut client = program("timeout");
    client.args([
        "30",
        "mosquitto_pub",
        "-h",
        "127.0.0.1",
        "-p",
        &port,
        "--insecure",
        "--cafile",
        "home/public/ca/root.crt",
    ]);
    client.args(["-i", "somebody", "-q", "1", "-t", topic, "-m", "hello"]);
    if let Some(Identity { certificate, key }) = who {
        client.arg("--cert").arg(certificate).arg("--key").arg(key);
    }
    finish(client.current_dir(home.path("")), b"").code == Some(0)
}
