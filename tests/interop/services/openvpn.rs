//! OpenVPN, with a network of its own, in which whoever runs the tests may make devices for tunnels.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::{Identity, Service, devices_get_in_and_nobody_else, printed, program_at};
use crate::support::{HOST, Home, Server, finish, need, program, wait_until};

struct Openvpn;

#[test]
fn openvpn_lets_in_devices_and_nobody_else() {
    if may_have_a_network() {
        devices_get_in_and_nobody_else::<Openvpn>();
    }
}

#[test]
fn what_the_page_gives_a_device_connects() {
    if !may_have_a_network() {
        return;
    }
    let home = Home::with_certified_server();
    let bundle = home.issue("alice", &[]);
    let public = home.home().join("public").display().to_string();
    let text = printed(&home, "openvpn", &["--public", &public]);
    std::fs::write(home.path("pki.conf"), text).unwrap();
    let server = Openvpn.start(&home, None);

    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/how-to/vpn.md")).unwrap();
    let (_, from) = page.split_once("```text\nclient\n").unwrap();
    let (lines, _) = from.split_once("```").unwrap();
    // A device for a tunnel, and addresses, are for root to give; and the names of the page are others.
    let text = lines
        .replace("dev tun\n", "dev null\nifconfig-noexec\nroute-nopull\n")
        .replace("proto udp\n", "proto tcp-client\n")
        .replace("remote vpn.acme.example", "remote 127.0.0.1")
        .replace("vpn.acme.example", HOST)
        .replace("alice-laptop.p12", bundle.p12.to_str().unwrap())
        .replace("root.crt", home.public("ca/root.crt").to_str().unwrap());
    std::fs::write(home.path("client.conf"), format!("client\n{text}")).unwrap();
    let mut client = in_the_network_of(&server);
    client.args(["--config", "client.conf", "--connect-retry-max", "1", "--askpass"]);
    client.arg(&bundle.passphrase);
    assert!(connects(&home, client).is_some(), "{}", client_log(&home));
}

#[test]
fn who_is_connected_when_he_is_revoked_is_out_when_his_keys_end() {
    if !may_have_a_network() || !need(&["ping", "ip"]) {
        return;
    }
    let home = Home::with_certified_server();
    let alice = Identity::of(&home, &home.issue("alice", &[]));
    // An hour and a minute are a few seconds here.
    let public = home.home().join("public").display().to_string();
    let text = printed(&home, "openvpn", &["--public", &public]);
    let mut lines: Vec<&str> = text.lines().collect();
    for (as_printed, here) in [
        ("reneg-sec 3600", "reneg-sec 6"),
        ("tran-window 60", "tran-window 2"),
        ("keepalive 10 60", "keepalive 1 60"),
    ] {
        let line = lines.iter_mut().find(|line| **line == as_printed);
        *line.unwrap_or_else(|| panic!("{as_printed}: {text}")) = here;
    }
    std::fs::write(home.path("pki.conf"), lines.join("\n")).unwrap();

    std::fs::write(home.path("both.sh"), CONNECTED_UNTIL).unwrap();
    let mut both = program("unshare");
    both.args(["-rn", "sh", "-e", "both.sh"])
        .arg(&alice.certificate)
        .arg(&alice.key)
        .current_dir(home.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let running = both.spawn().unwrap();
    wait_until("a tunnel, or an end of it", || {
        let files = ["connected", "ended"].map(|name| home.path(name).exists());
        files.contains(&true).then_some(())
    });
    home.run(&["revoke", "alice", "--yes"]);
    std::fs::write(home.path("revoked"), "").unwrap();
    let output = running.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said.trim(), "connected, then out", "{errors}");
}

/// A server, and beside it a client that keeps its old keys for as long as anybody takes them. Pings go
/// through the tunnel.
const CONNECTED_UNTIL: &str = r#"
ip link set lo up
cat > client.sh <<'EOF'
ip link set lo up
until ip addr add 192.0.2.2/24 dev v1 2> /dev/null; do sleep 0.1; done
ip link set v1 up
exec openvpn --client --dev tun --nobind --proto udp --remote 192.0.2.1 1194 --ca home/public/ca/root.crt \
    --remote-cert-tls server --cert "$1" --key "$2" --tran-window 3600 --reneg-sec 0 --ping-restart 0 \
    --pull-filter ignore ping-restart > client.log 2>&1
EOF
unshare -n sh client.sh "$1" "$2" &
client=$!
trap 'touch ended; kill $client $server' EXIT
until [ "$(readlink /proc/$client/ns/net)" != "$(readlink /proc/self/ns/net)" ]; do sleep 0.1; done
ip link add v0 type veth peer name v1 netns $client
ip addr add 192.0.2.1/24 dev v0
ip link set v0 up
openvpn --config pki.conf > openvpn.log 2>&1 &
server=$!
answers() { nsenter -n -t $client ping -c 1 -W 1 10.8.0.1 > /dev/null 2>&1; }
waited=0
until answers; do
    waited=$((waited + 1))
    [ $waited -lt 200 ] || { echo 'never connected'; exit 1; }
    sleep 0.1
done
printf 'connected, '
touch connected
until [ -e revoked ]; do sleep 0.1; done
waited=0
while answers || answers; do
    waited=$((waited + 1))
    [ $waited -lt 200 ] || { echo 'and in still'; exit 1; }
    sleep 0.1
done
echo 'then out'
"#;

/// Some systems forbid it to all but root, and some machines to root.
fn may_have_a_network() -> bool {
    if !need(Openvpn::PROGRAMS) {
        return false;
    }
    let there = finish(
        program("unshare").args(["-rn", "test", "-w", "/dev/net/tun"]),
        b"",
    );
    if there.code != Some(0) {
        eprintln!("skipped: no network of one's own, or no /dev/net/tun: {there}");
    }
    there.code == Some(0)
}

const PORT: u16 = 1194;

impl Service for Openvpn {
    const PROGRAMS: &[&str] = &["openvpn", "unshare", "nsenter", "ip"];

    fn prepare(home: &Home) -> Self {
        std::fs::write(home.path("pki.conf"), printed(home, "openvpn", &[])).unwrap();
        Self
    }

    fn start(&self, home: &Home, at: Option<&str>) -> Server {
        let log = home.path("openvpn.log");
        let out = File::create(&log).unwrap();
        let mut command = program_at("unshare", at);
        // By TCP it says at once that it refuses.
        let inside = "ip link set lo up && exec openvpn --config pki.conf --proto tcp-server";
        command
            .args(["-rn", "sh", "-c", inside])
            .current_dir(home.path(""))
            .stdin(Stdio::null());
        command.stdout(out.try_clone().unwrap()).stderr(out);
        let ready = || {
            std::fs::read_to_string(&log)
                .unwrap()
                .contains("Initialization Sequence Completed")
        };
        Server::start(&mut command, || ready().then_some(PORT))
            .unwrap_or_else(|| panic!("{}", std::fs::read_to_string(&log).unwrap()))
    }

    fn take_up_publication(&self, _: &Home, server: Server) -> Server {
        // By itself.
        server
    }

    fn shown_certificate(&self, home: &Home, server: &Server, who: &Identity) -> String {
        let shown = home.path("shown");
        std::fs::remove_file(&shown).ok();
        assert!(self.lets_in(home, server, Some(who)).is_some());
        let digits = std::fs::read_to_string(shown).unwrap();
        digits.trim().replace(':', "").to_lowercase()
    }

    fn lets_in(&self, home: &Home, server: &Server, who: Option<&Identity>) -> Option<String> {
        let port = PORT.to_string();
        let mut client = in_the_network_of(server);
        client.args([
            "--client",
            "--dev",
            "null",
            "--ifconfig-noexec",
            "--route-nopull",
            "--nobind",
        ]);
        client.args(["--proto", "tcp-client", "--remote", "127.0.0.1", &port]);
        client.args([
            "--connect-retry-max",
            "1",
            "--ca",
            "home/public/ca/root.crt",
            "--remote-cert-tls",
            "server",
        ]);
        client.args(["--verify-x509-name", HOST, "name"]);
        // It tells a script what it is shown, of each certificate of the chain.
        let script = home.path("shown.sh");
        let text = "#!/bin/sh\n[ \"$1\" != 0 ] || printf %s \"$tls_digest_sha256_0\" > shown\n";
        std::fs::write(&script, text).unwrap();
        std::fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        client.args(["--script-security", "2", "--tls-verify", "./shown.sh"]);
        match who {
            Some(Identity { certificate, key }) => {
                client.arg("--cert").arg(certificate).arg("--key").arg(key)
            }
            // Without a certificate a client must have a password to begin at all.
            None => client.args(["--auth-user-pass", "password"]),
        };
        std::fs::write(home.path("password"), format!("{HOST}\npassword\n")).unwrap();
        let _connected = connects(home, client)?;
        let server_log = home.path("openvpn.log");
        wait_until("the server's word", || {
            let text = std::fs::read_to_string(&server_log).unwrap();
            let (before, _) = text.rsplit_once("] Peer Connection Initiated")?;
            before.rsplit('[').next().map(str::to_owned)
        })
        .into()
    }

    fn name_of_alice(&self) -> &'static str {
        "alice/phone"
    }
}

/// OpenVPN as a client, in the network that the server has for itself.
fn in_the_network_of(server: &Server) -> Command {
    let pid = server.pid().to_string();
    let mut client = program("nsenter");
    client.args(["--preserve-credentials", "-U", "-n", "-t", &pid, "openvpn"]);
    client
}

/// The client, connected; or nothing where it has given up.
fn connects(home: &Home, mut client: Command) -> Option<Server> {
    let out = File::create(home.path("client.log")).unwrap();
    client
        .args(["--tls-exit"])
        .current_dir(home.path(""))
        .stdin(Stdio::null());
    client.stdout(out.try_clone().unwrap()).stderr(out);
    Server::start(&mut client, || {
        client_log(home)
            .contains("Initialization Sequence Completed")
            .then_some(PORT)
    })
}

fn client_log(home: &Home) -> String {
    std::fs::read_to_string(home.path("client.log")).unwrap()
}
