//! Whatever a host is called, and however many devices there are: nginx starts with what is printed, and
//! needs to be told nothing else.

use super::neighbour::ask;
use super::servers::{Kind, put, run};
use super::upstream::Upstream;
use super::{HOST, with};
use crate::support::{EC, Home, Server, free_port, self_signed};

/// Starts nginx with these hosts, each set printed by a command of its own, before one application.
fn start(kind: Kind, home: &Home, commands: &[&[&str]], application: &Upstream) -> Server {
    self_signed(home, "all", &format!("DNS:{HOST}"), 30, &EC);
    let file = |name: &str| home.path(name).display().to_string();
    let upstream = format!("http://127.0.0.1:{}", application.port);
    for _ in 0..5 {
        let port = free_port();
        let number = port.to_string();
        let print = |hosts: &&[&str]| {
            let mut arguments = vec!["config", kind.word(), "--port", &number, "--upstream", &upstream];
            let (crt, key) = (file("all.crt"), file("all.key"));
            for host in *hosts {
                arguments.extend([host, "--cert", &crt, "--key", &key]);
            }
            home.run(&arguments).stdout
        };
        let text: String = commands.iter().map(print).collect();
        put(kind, home, &text, "");
        if let Some(server) = run(kind, home, port) {
            return server;
        }
    }
    let log = std::fs::read_to_string(home.path(format!("{}.log", kind.word())));
    panic!("nginx does not start: {}", log.unwrap());
}

/// The status that alice's phone gets.
fn status(home: &Home, server: &Server, sni: Option<&str>, host: &str) -> Option<u16> {
    let [leaf, chain, key] = home.opened(&home.alice());
    let parts = [&leaf, &chain, &key].map(|part| part.to_str().unwrap());
    let arguments = ["-cert", parts[0], "-cert_chain", parts[1], "-key", parts[2]];
    ask(home, server.port, sni, host, &arguments)
}

#[test]
fn nginx_has_room_for_every_host_that_there_can_be() {
    with(Kind::Nginx, |kind, home| {
        let names = [
            HOST,
            "a-b.acme.example",
            "a.b.acme.example",
            "0.acme.example",
            "a.name.of.as.many.characters.as.nginx.can.hold",
            "one.more.than.the.characters.that.nginx.can.hold",
            "the.longest.name.that.a.certificate.has.room.for.is.acme.example",
            "the.longest.name.that.a.certificate.has.room.for.of.acme.example",
        ];
        let application = Upstream::start();
        let commands = [&names[..3], &names[3..], &["127.0.0.1"]];
        let server = start(kind, home, &commands, &application);
        for name in names {
            for sni in [name, &name.to_uppercase()] {
                assert_eq!(status(home, &server, Some(sni), name), Some(200), "{sni}");
            }
        }
        // Which no certificate can stand for in the handshake: it has no name.
        assert_eq!(status(home, &server, None, "127.0.0.1"), Some(200));
        let served = application.served();
        assert_eq!(status(home, &server, None, HOST), Some(421));
        // The dots of a pattern are dots.
        let other = names[6].replace(".longest.", "xlongest.");
        assert_eq!(status(home, &server, Some(&other), names[6]), Some(421));
        assert_eq!(application.served(), served, "the application was asked");
    });
}

#[test]
fn of_several_addresses_nginx_takes_each_where_it_is_called() {
    with(Kind::Nginx, |kind, home| {
        let application = Upstream::start();
        let commands: [&[&str]; 2] = [&["127.0.0.1", HOST, "127.0.0.2"], &["b.acme.example"]];
        let server = start(kind, home, &commands, &application);
        for (sni, host) in [(None, "127.0.0.1"), (Some(HOST), HOST)] {
            assert_eq!(status(home, &server, sni, host), Some(200), "{host}");
        }
    });
}

/// It warns, and works: what would silence it may be said only once, and is not ours to say.
#[test]
fn nginx_starts_with_lists_of_twenty_thousand_devices() {
    with(Kind::Nginx, |kind, home| {
        let list = home.path(kind.place()).join("server/allowed.map");
        let mut text = std::fs::read_to_string(&list).unwrap();
        for number in 0..20_000_u128 {
            let serial = number.wrapping_mul(0x2545_F491_4F6C_DD1D_8000_0000_0000_0001);
            text.push_str(&format!("{serial:032X} \"user{number}/phone\";\n"));
        }
        std::fs::write(&list, text).unwrap();
        let application = Upstream::start();
        let server = start(kind, home, &[&[HOST]], &application);
        assert_eq!(status(home, &server, Some(HOST), HOST), Some(200));
        assert!(application.heard("alice/phone"));
    });
}
