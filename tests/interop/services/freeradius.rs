//! FreeRADIUS, and an access point with a device behind it: `eapol_test` of wpa_supplicant.

use std::fs::File;
use std::process::Stdio;

use super::{Identity, Service, devices_get_in_and_nobody_else, marked, printed, program_at};
use crate::support::{Finished, HOST, Home, Server, finish, program};

struct Freeradius;

#[test]
fn freeradius_lets_in_devices_and_nobody_else() {
    devices_get_in_and_nobody_else::<Freeradius>();
}

impl Service for Freeradius {
    const PROGRAMS: &[&str] = &["freeradius", "eapol_test"];

    fn prepare(home: &Home) -> Self {
        let raddb = home.path("raddb");
        let text = printed(home, "freeradius", &[]).replace("/etc/freeradius/3.0", raddb.to_str().unwrap());
        // As root would type them.
        home.foreign("sh", &["-e", "-c", &marked(&text, "#     ")]).ok();
        std::fs::write(raddb.join("eap"), &text).unwrap();
        std::fs::write(raddb.join("log"), marked(&text, "# log: ")).unwrap();
        std::fs::write(raddb.join("post-auth"), marked(&text, "# post-auth: ")).unwrap();
        Self
    }

    fn start(&self, home: &Home, at: Option<&str>) -> Server {
        let raddb = home.path("raddb");
        let log = home.path("freeradius.log");
        let command = |port: u16| {
            let around = format!("port = {port}\nraddbdir = {}\n{AROUND}", raddb.display());
            std::fs::write(raddb.join("radiusd.conf"), around).unwrap();
            let mut freeradius = program_at("freeradius", at);
            freeradius.arg("-X").arg("-d").arg(&raddb);
            freeradius
        };
        (0..5)
            .find_map(|_| {
                let port = crate::support::free_port();
                let out = File::create(&log).unwrap();
                let mut command = command(port);
                command
                    .stdin(Stdio::null())
                    .stdout(out.try_clone().unwrap())
                    .stderr(out);
                let ready = || {
                    std::fs::read_to_string(&log).is_ok_and(|text| text.contains("Ready to process requests"))
                };
                Server::start(&mut command, || ready().then_some(port))
            })
            .unwrap_or_else(|| panic!("{}", std::fs::read_to_string(&log).unwrap()))
    }

    fn take_up_publication(&self, home: &Home, server: Server) -> Server {
        drop(server);
        self.start(home, None)
    }

    fn shown_certificate(&self, home: &Home, server: &Server, who: &Identity) -> String {
        let said = joins(home, server, Some(who)).stdout;
        let (_, shown) = said.split_once("CTRL-EVENT-EAP-PEER-CERT depth=0 ").unwrap();
        let (_, hash) = shown.split_once(" hash=").unwrap();
        hash.lines().next().unwrap().to_owned()
    }

    fn lets_in(&self, home: &Home, server: &Server, who: Option<&Identity>) -> Option<String> {
        let said = joins(home, server, who);
        let success = said.stdout.ends_with("SUCCESS\n");
        assert!(success || said.stdout.ends_with("FAILURE\n"), "{said}");
        // What an access point is told.
        let (_, accepted) = said.stdout.rsplit_once("Attribute 1 (User-Name)")?;
        let name = accepted
            .lines()
            .nth(1)?
            .trim()
            .strip_prefix("Value: '")?
            .strip_suffix('\'')?;
        // The log has the same name, and not only what the device calls itself.
        let log = std::fs::read_to_string(home.path("freeradius.log")).unwrap();
        let (_, told) = log.rsplit_once("Login OK: [mallory]")?;
        let told = told.lines().next()?;
        assert!(!success || told.ends_with(&format!(" as {name}")), "{told}");
        success.then(|| name.to_owned())
    }

    fn name_of_alice(&self) -> &'static str {
        "alice/phone"
    }
}

/// What an access point and a device behind it say of an attempt to join.
fn joins(home: &Home, server: &Server, who: Option<&Identity>) -> Finished {
    let mut network = format!(
        "network={{\n key_mgmt=WPA-EAP\n eap=TLS\n identity=\"mallory\"\n ca_cert=\"{}\"\n domain_match=\"{HOST}\"\n",
        home.public("ca/root.crt").display()
    );
    if let Some(Identity { certificate, key }) = who {
        network.push_str(&format!(
            " client_cert=\"{}\"\n private_key=\"{}\"\n",
            certificate.display(),
            key.display()
        ));
    }
    std::fs::write(home.path("network.conf"), network + "}\n").unwrap();
    let mut client = program("eapol_test");
    client.args([
        "-c",
        "network.conf",
        "-a",
        "127.0.0.1",
        "-s",
        "testing123",
        "-t",
        "10",
    ]);
    client
        .args(["-p", &server.port.to_string()])
        .current_dir(home.path(""));
    finish(&mut client, b"")
}

/// As much of a server as one needs to be tried.
const AROUND: &str = r#"
libdir = /usr/lib/freeradius
run_dir = ${raddbdir}
pidfile = ${raddbdir}/freeradius.pid
logdir = ${raddbdir}
log {
    $INCLUDE log
}
proxy_requests = no
security {
    reject_delay = 0
}
client localhost {
    ipaddr = 127.0.0.1
    secret = testing123
}
modules {
    $INCLUDE eap
    always reject {
        rcode = reject
    }
}
server default {
    listen {
        type = auth
        ipaddr = 127.0.0.1
        port = ${port}
    }
    authorize {
        eap
    }
    authenticate {
        eap
    }
    post-auth {
        $INCLUDE post-auth
    }
}
"#;
