//! `pki config` as an operator meets it: what it takes from the home, what it refuses, and whose template it
//! uses.

use std::process::Command;

use crate::support::{Finished, Home, finish, need};

fn config(home: &Home, arguments: &[&str]) -> Finished {
    finish(&mut home.pki(&[&["config"], arguments].concat()), b"")
}

/// Has the home know these hosts.
fn add(home: &Home, hosts: &[&str]) {
    for host in hosts {
        home.run(&["server", "add", host, "--out", "tls"]);
    }
}

#[test]
fn a_server_that_nobody_named_and_no_home_knows_is_an_error_that_says_how_to_name_it() {
    let home = Home::bare();
    let said = config(&home, &["nginx"]).exits(1);
    assert!(
        said.stderr.contains("`pki config nginx api.acme.example`"),
        "{said}"
    );
    let said = config(&home, &["nginx", "api.acme.example"]).ok();
    assert!(said.stdout.contains("server_name api.acme.example;"), "{said}");
    config(&home, &["nginx", "*.acme.example"]).exits(2);
}

#[test]
fn the_only_host_need_not_be_named_and_of_several_one_is_to_be_chosen() {
    let home = Home::bare();
    add(&home, &["api.acme.example"]);
    assert!(
        config(&home, &["nginx"])
            .ok()
            .stdout
            .contains("server_name api.acme.example;")
    );
    add(&home, &["chat.acme.example"]);
    for target in ["nginx", "curl"] {
        let said = config(&home, &[target]).exits(1);
        assert!(
            said.stderr.contains("api.acme.example, chat.acme.example"),
            "{said}"
        );
        assert!(said.stderr.contains("name one of them"), "{said}");
        let several = "`pki config nginx api.acme.example chat.acme.example`";
        assert_eq!(said.stderr.contains(several), target == "nginx", "{said}");
    }
    // One file of an app has room for all.
    let said = config(&home, &["android"]).ok();
    assert_eq!(said.stdout.matches("<domain-config").count(), 2, "{said}");
    let said = config(&home, &["android", "chat.acme.example"]).ok();
    assert_eq!(said.stdout.matches("<domain-config").count(), 1, "{said}");
}

#[test]
fn without_pins_an_app_is_told_how_to_have_some() {
    let home = Home::bare();
    for target in ["android", "ios", "okhttp", "trustkit", "curl"] {
        let said = config(&home, &[target]).exits(1);
        assert!(said.stderr.contains("`pki server add HOST`"), "{said}");
    }
    add(&home, &["api.acme.example"]);
    let said = config(&home, &["ios", "other.acme.example"]).exits(1);
    assert!(
        said.stderr.contains("`pki server add other.acme.example`"),
        "{said}"
    );
}

#[test]
fn an_app_trusts_the_root_of_this_pki_where_that_has_certified_its_server() {
    let home = Home::bare();
    add(&home, &["api.acme.example"]);
    let anchor = |text: &str| {
        text.lines()
            .any(|line| line.trim() == r#"<certificates src="@raw/pki_root" />"#)
    };
    assert!(!anchor(&config(&home, &["android"]).ok().stdout));
    assert!(anchor(&config(&home, &["android", "--private-ca"]).ok().stdout));
    home.run(&["server", "issue", "api.acme.example", "--out", "tls"]);
    let text = config(&home, &["android"]).ok().stdout;
    assert!(anchor(&text), "{text}");
    assert_eq!(home.run(&["pins", "show", "--format", "android"]).stdout, text);
}

#[test]
fn paths_are_those_of_the_first_publication_unless_they_are_given() {
    let home = Home::bare();
    let named = |arguments: &[&str]| {
        config(&home, &[&["nginx", "api.acme.example"], arguments].concat())
            .ok()
            .stdout
    };
    let text = named(&[]);
    assert!(
        text.contains("\"/etc/nginx/pki/public/crl/bundle.pem\""),
        "{text}"
    );
    assert!(text.contains("\"/etc/nginx/pki/server/revoked.map\""), "{text}");
    assert!(text.contains("\"/etc/pki/api.acme.example.crt\""), "{text}");
    home.configure_table(
        "[[publish]]\npublic = \"/srv/a/public\"\n\n[[publish]]\nserver = \"/srv/b/server\"\n",
    );
    let text = named(&[]);
    assert!(text.contains("\"/srv/a/public/crl/bundle.pem\""), "{text}");
    assert!(text.contains("\"/srv/b/server/revoked.map\""), "{text}");
    let text = named(&[
        "--public",
        "/p/",
        "--server-dir",
        "/s",
        "--cert",
        "/c.pem",
        "--key",
        "/k.pem",
        "--port",
        "8443",
    ]);
    for said in [
        "\"/p/crl/bundle.pem\"",
        "\"/s/allowed.map\"",
        "\"/c.pem\"",
        "\"/k.pem\"",
        "listen 8443 ssl",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn a_directory_that_nothing_is_published_to_is_told_beside_the_configuration() {
    let home = Home::bare();
    let warned = |arguments: &[&str]| {
        let said = config(&home, &[arguments, &["api.acme.example"]].concat()).ok();
        assert!(!said.stdout.contains("warning"), "{said}");
        let warning = said
            .stderr
            .lines()
            .find(|line| line.contains("no [[publish]] in pki.toml"));
        warning.map(str::to_owned)
    };
    for target in ["nginx", "haproxy", "apache", "envoy", "node", "caddy"] {
        let warning = warned(&[target]).unwrap_or_else(|| panic!("{target}"));
        assert!(warning.contains("/etc/nginx/pki/server"), "{target}: {warning}");
    }
    // These have no use for the servers' half.
    for target in ["freeradius", "mosquitto", "postgresql", "openvpn"] {
        let warning = warned(&[target]).unwrap_or_else(|| panic!("{target}"));
        assert!(warning.contains("/etc/nginx/pki/public"), "{target}: {warning}");
        assert!(!warning.contains("/server"), "{target}: {warning}");
        let hint = config(&home, &[target, "api.acme.example"]).ok().stderr;
        assert!(
            hint.contains("--public DIR") && !hint.contains("--server-dir"),
            "{hint}"
        );
        assert_eq!(warned(&[target, "--public", "/p"]), None, "{target}");
    }
    let warning = warned(&["nginx", "--server-dir", "/s"]).unwrap();
    assert!(
        warning.contains("/etc/nginx/pki/public") && !warning.contains("/etc/nginx/pki/server"),
        "{warning}"
    );
    assert_eq!(warned(&["nginx", "--public", "/p", "--server-dir", "/s"]), None);
    assert_eq!(config(&home, &["nginx", "--shared"]).ok().stderr, "");
    home.configure_table("[[publish]]\npublic = \"/srv/public\"\nserver = \"/srv/server\"\n");
    assert_eq!(warned(&["nginx"]), None);
}

#[test]
fn a_command_in_a_comment_is_quoted_for_the_shell_that_it_is_pasted_into() {
    let home = Home::bare();
    let with_path = |target: &str, path: &str| {
        let arguments = [target, "api.acme.example", "--public", path, "--server-dir", path];
        config(&home, &arguments).ok().stdout
    };
    let text = with_path("aws-api-gateway", "/s/$(touch pwned)'");
    for command in [
        r"aws s3 cp '/s/$(touch pwned)'\''/ca/bundle.pem' s3://BUCKET/pki/ca.pem",
        r"cp '/s/$(touch pwned)'\''/devices.json' devices.json && zip",
    ] {
        assert!(text.contains(command), "{command}: {text}");
    }
    let text = with_path("caddy", "/s/$(touch pwned)");
    assert!(
        text.contains("DEVICES.JSON is '/s/$(touch pwned)/devices.json'\n"),
        "{text}"
    );
}

/// Such clients send no name (SNI), and Caddy would answer 421 to each of them.
#[test]
fn caddy_takes_clients_of_an_address_without_a_name() {
    let home = Home::bare();
    let printed = |host: &str| home.run(&["config", "caddy", host]).stdout;
    assert!(printed("192.0.2.7").contains("\t\tstrict_sni_host insecure_off\n"));
    assert!(!printed("api.acme.example").contains("insecure_off"));
}

/// Who calls an address sends no name that nginx could ask for, and the default server of the port is the one
/// that checks.
#[test]
fn nginx_asks_for_the_name_in_the_handshake_and_for_an_address_is_the_default_server() {
    let home = Home::bare();
    let printed = |hosts: &[&str]| config(&home, &[&["nginx"], hosts].concat()).ok().stdout;
    let text = printed(&["api.acme.example"]);
    let asked = r#"if ($ssl_server_name !~* "^api[.]acme[.]example$") { return 421; }"#;
    assert!(
        text.contains(asked) && text.contains("    listen 443 ssl;\n"),
        "{text}"
    );
    for (address, name) in [
        ("192.0.2.7", "server_name 192.0.2.7;"),
        ("2001:db8::7", "server_name [2001:db8::7];"),
    ] {
        let text = printed(&[address]);
        assert!(text.contains("    listen 443 ssl default_server;\n"), "{text}");
        assert!(
            text.contains(name) && !text.contains("($ssl_server_name"),
            "{text}"
        );
    }
    // Of several addresses each is the default where it is called, and names are found there, too.
    let text = printed(&["192.0.2.7", "api.acme.example", "2001:db8::7"]);
    for listens in [
        "listen 192.0.2.7:443 ssl default_server;",
        "listen [2001:db8::7]:443 ssl default_server;",
        "listen 443 ssl;",
        "listen 192.0.2.7:443 ssl;",
        "listen [2001:db8::7]:443 ssl;",
    ] {
        assert_eq!(text.matches(&format!("    {listens}\n")).count(), 1, "{text}");
    }
}

/// Each is one whole, whose names no other has.
#[test]
fn several_hosts_have_one_configuration_with_a_certificate_and_an_application_each() {
    let home = Home::bare();
    let hosts = ["api.acme.example", "b.acme.example"];
    let of = |arguments: &[&str]| config(&home, &[&["nginx"], &hosts[..], arguments].concat());
    let text = of(&[]).ok().stdout;
    for (host, id) in [
        ("api.acme.example", "api_acme_example"),
        ("b.acme.example", "b_acme_example"),
    ] {
        for said in [
            format!("server_name {host};"),
            format!("\"/etc/pki/{host}.crt\""),
            format!("\"/etc/pki/{host}.key\""),
            format!("map $ssl_client_serial $pki_device_{id} "),
            format!("proxy_set_header X-Client-Device $pki_device_{id};"),
        ] {
            assert_eq!(text.matches(&said).count(), 1, "{said}: {text}");
        }
    }
    let each = |flags: &[(&str, [&str; 2])]| {
        let arguments = flags
            .iter()
            .flat_map(|(flag, values)| [*flag, values[0], *flag, values[1]]);
        let text = of(&arguments.collect::<Vec<_>>()).ok().stdout;
        for (_, values) in flags {
            let found = values.map(|value| text.find(value).unwrap_or_else(|| panic!("{value}: {text}")));
            assert!(found[0] < found[1], "{text}");
        }
    };
    each(&[
        ("--cert", ["/one.crt", "/two.crt"]),
        ("--key", ["/one.key", "/two.key"]),
    ]);
    each(&[("--upstream", ["http://127.0.0.1:3001", "http://127.0.0.1:3002"])]);
    let text = of(&["--upstream", "http://127.0.0.1:3001"]).ok().stdout;
    assert_eq!(
        text.matches("proxy_pass http://127.0.0.1:3001;").count(),
        2,
        "{text}"
    );

    let said = of(&["--json"]).ok().json();
    assert_eq!(said["hosts"], serde_json::json!(hosts));
    assert!(said.get("host").is_none(), "{said}");
    let said = config(&home, &["nginx", hosts[0], "--json"]).ok().json();
    assert_eq!(
        (&said["host"], &said["hosts"]),
        (&hosts[0].into(), &serde_json::json!([hosts[0]]))
    );
}

/// The default of the other one belongs to another certificate, and the server would not start.
#[test]
fn a_certificate_is_named_with_its_key_or_neither_is() {
    let home = Home::bare();
    for server in [
        "nginx",
        "haproxy",
        "apache",
        "envoy",
        "node",
        "caddy",
        "aws-alb",
        "aws-api-gateway",
    ] {
        for (flag, file, other) in [("--cert", "/x.crt", "--key"), ("--key", "/x.key", "--cert")] {
            let said = config(&home, &[server, "api.acme.example", flag, file]).exits(2);
            assert!(
                said.stderr.contains(&format!("{flag} is given without {other}")),
                "{said}"
            );
            assert!(said.stderr.contains(&format!("{other} FILE")), "{said}");
            assert!(said.stdout.is_empty(), "{said}");
        }
        let both = ["--cert", "/x.crt", "--key", "/x.key"];
        config(&home, &[&[server, "api.acme.example"], &both[..]].concat()).ok();
    }
}

#[test]
fn what_may_be_said_once_is_printed_alone_and_names_no_host() {
    let home = Home::bare();
    let said = config(&home, &["nginx", "--shared", "--json"]).ok().json();
    let text = said["configuration"].as_str().unwrap();
    assert!(text.contains("map_hash_max_size 65536;"), "{text}");
    assert!(
        !text.contains("server {") && said.get("hosts").is_none(),
        "{said}"
    );
    // And nothing else needs it.
    let text = config(&home, &["nginx", "api.acme.example"]).ok().stdout;
    assert!(!text.contains("map_hash"), "{text}");
}

#[test]
fn a_path_that_a_language_cannot_say_is_refused_and_one_that_it_can_is_quoted() {
    let home = Home::bare();
    let with_path = |target: &str, path: &str| config(&home, &[target, "api.acme.example", "--public", path]);
    for (target, path, character) in [
        ("nginx", "/srv/$pki", "'$'"),
        ("haproxy", "/srv/my pki", "' '"),
        ("apache", "/srv/%{pki}", "'%'"),
        ("caddy", "/srv/{pki}", "'{'"),
        ("node", "/srv/p\nki", "control"),
    ] {
        let said = with_path(target, path).exits(1);
        assert!(said.stderr.contains(character), "{said}");
        assert!(said.stdout.is_empty(), "{said}");
    }
    for (target, path, quoted) in [
        (
            "nginx",
            "/srv/my \"pki\"; } #",
            r#""/srv/my \"pki\"; } #/crl/bundle.pem""#,
        ),
        ("apache", "/srv/my \"pki\"", r#""/srv/my \"pki\"/crl/bundle.pem""#),
        ("caddy", "/srv/my \"pki\"", r#""/srv/my \"pki\"/ca/root.crt""#),
        (
            "envoy",
            "/srv/my \"pki\": {",
            r#""/srv/my \"pki\": {/crl/bundle.pem""#,
        ),
        ("node", "/srv/${pki}\"\\", r#"PUBLIC = "/srv/${pki}\"\\";"#),
        ("aws-alb", "/srv/$(pki)'", r"PUBLIC='/srv/$(pki)'\'''"),
    ] {
        let said = with_path(target, path).ok();
        assert!(said.stdout.contains(quoted), "{quoted}: {said}");
    }
    let said = with_path("nginx", "web/public").exits(1);
    assert!(said.stderr.contains("not absolute"), "{said}");
    let said = config(
        &home,
        &[
            "haproxy",
            "api.acme.example",
            "--cert",
            "/a.crt",
            "--key",
            "/b.key",
        ],
    )
    .exits(1);
    assert!(said.stderr.contains("beside the certificate"), "{said}");
    let said = config(
        &home,
        &["nginx", "api.acme.example", "--upstream", "https://app:1"],
    )
    .exits(2);
    assert!(said.stderr.contains("http://127.0.0.1:3000"), "{said}");
}

#[test]
fn a_service_listens_on_its_own_port_and_postgresql_has_a_line_for_each_network() {
    let home = Home::bare();
    home.configure("allowed_networks", r#"["192.0.2.0/24", "2001:db8::/32"]"#);
    let printed = |target: &str| config(&home, &[target, "api.acme.example"]).ok().stdout;
    for (target, lines) in [
        ("nginx", &["    listen 443 ssl;"][..]),
        ("mosquitto", &["listener 8883"]),
        ("openvpn", &["port 1194"]),
        (
            "postgresql",
            &[
                "# pg_hba.conf: hostssl all all 192.0.2.0/24 cert clientname=DN map=pki",
                "# pg_hba.conf: hostssl all all 2001:db8::/32 cert clientname=DN map=pki",
            ],
        ),
    ] {
        let text = printed(target);
        for line in lines {
            assert!(text.lines().any(|found| found == *line), "{line}: {text}");
        }
    }
    assert!(!printed("postgresql").contains("hostssl all all all"));
}

#[test]
fn a_flag_that_has_no_meaning_for_a_target_is_wrong_usage() {
    let home = Home::bare();
    for arguments in [
        &["android", "--upstream", "http://127.0.0.1:1"][..],
        &["verify-node", "--port", "1"],
        &["nginx", "api.acme.example", "--private-ca"],
        &[
            "freeradius",
            "radius.acme.example",
            "--upstream",
            "http://127.0.0.1:1",
        ],
        &["freeradius", "radius.acme.example", "--server-dir", "/s"],
        &["freeradius", "radius.acme.example", "--shared"],
        &["freeradius", "radius.acme.example", "--port", "1"],
        &["postgresql", "db.acme.example", "--port", "1"],
        &[
            "mosquitto",
            "mqtt.acme.example",
            "--upstream",
            "http://127.0.0.1:1",
        ],
        &["openvpn", "vpn.acme.example", "--server-dir", "/s"],
    ] {
        let said = config(&home, arguments).exits(2);
        assert!(said.stderr.contains("has no meaning for"), "{said}");
    }
    let said = config(&home, &["lighttpd"]).exits(2);
    assert!(said.stderr.contains("haproxy"), "{said}");
}

#[test]
fn a_template_of_the_home_takes_the_place_of_the_one_built_in_and_a_broken_one_is_named_with_its_line() {
    let home = Home::bare();
    let directory = home.home().join("templates/config");
    std::fs::create_dir_all(&directory).unwrap();
    let place = directory.join("nginx.conf");
    std::fs::write(
        &place,
        "# ours\nserver_name {{ host }};\nssl_crl {{ public ~ \"/x\" }};\n",
    )
    .unwrap();
    let said = config(&home, &["nginx", "api.acme.example"]).ok();
    assert_eq!(
        said.stdout,
        "# ours\nserver_name api.acme.example;\nssl_crl \"/etc/nginx/pki/public/x\";\n"
    );
    // It is for one host. What to do is said where there are several.
    for arguments in [
        &["nginx", "api.acme.example", "b.acme.example"][..],
        &["nginx", "--shared"],
    ] {
        let said = config(&home, arguments).exits(1);
        assert!(
            said.stderr
                .contains("the template config/nginx.conf is written for one host"),
            "{said}"
        );
        assert!(
            said.stderr.contains("print a file for each host") && said.stdout.is_empty(),
            "{said}"
        );
    }
    for (text, line) in [
        ("one\ntwo\n{{ hots }}\n", "line 3"),
        ("one\n{% if host %}\n", "line"),
        ("one\n{{ networks }}\n", "line 2"),
    ] {
        std::fs::write(&place, text).unwrap();
        let said = config(&home, &["nginx", "api.acme.example"]).exits(1);
        assert!(said.stderr.contains("config/nginx.conf"), "{said}");
        assert!(said.stderr.contains(line), "{line}: {said}");
        assert!(said.stderr.contains("the one built in takes its place"), "{said}");
    }
}

#[test]
fn the_template_itself_is_printed_and_printed_from_the_home_it_gives_the_same() {
    let home = Home::bare();
    let built_in = config(&home, &["nginx", "api.acme.example"]).ok().stdout;
    let directory = home.home().join("templates/config");
    std::fs::create_dir_all(&directory).unwrap();
    let template = config(&home, &["nginx", "--template"]).ok().stdout;
    assert!(template.contains("{{ host }}"), "{template}");
    std::fs::write(directory.join("nginx.conf"), format!("{template}# ours\n")).unwrap();
    let ours = config(&home, &["nginx", "api.acme.example"]).ok().stdout;
    assert_eq!(ours, format!("{built_in}# ours\n"));
    assert_eq!(config(&home, &["nginx", "--template"]).ok().stdout, template);
}

#[test]
fn as_json_the_configuration_is_one_member_of_one_document() {
    let home = Home::bare();
    let said = config(&home, &["nginx", "api.acme.example", "--json"])
        .ok()
        .json();
    assert_eq!(said["version"], 1);
    assert_eq!(said["target"], "nginx");
    assert_eq!(said["host"], "api.acme.example");
    let text = config(&home, &["nginx", "api.acme.example"]).ok().stdout;
    assert_eq!(said["configuration"], text);
}

#[test]
fn allowed_networks_reach_every_server() {
    let home = Home::bare();
    home.configure("allowed_networks", r#"["192.0.2.0/24", "2001:db8::/32"]"#);
    for target in [
        "nginx",
        "haproxy",
        "apache",
        "envoy",
        "node",
        "caddy",
        "aws-alb",
        "aws-api-gateway",
    ] {
        let text = config(&home, &[target, "api.acme.example"]).ok().stdout;
        for address in ["192.0.2.0", "2001:db8::"] {
            assert!(text.contains(address), "{target} {address}: {text}");
        }
    }
    home.configure("allowed_networks", r#"["192.0.2.7/24"]"#);
    let said = config(&home, &["nginx", "api.acme.example"]).exits(1);
    assert!(
        said.stderr.contains("allowed_networks") && said.stderr.contains("192.0.2.7/24"),
        "{said}"
    );
}

/// A home, and a program, in directories whose names mean something to systemd, cron and a shell.
fn in_odd_places() -> (Home, impl Fn(&[&str]) -> Command) {
    let home = Home::bare();
    let [program, place] = ["50% of it/pki", "a 100% 'home'"].map(|name| home.path(name));
    std::fs::create_dir(home.path("50% of it")).unwrap();
    std::fs::copy(crate::support::PKI, &program).unwrap();
    std::fs::rename(home.home(), &place).unwrap();
    let known = home.pki(&[]);
    let known: Vec<_> = known
        .get_envs()
        .map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned)))
        .collect();
    let beside = home.path("");
    let pki = move |arguments: &[&str]| {
        let mut command = Command::new(&program);
        for (name, value) in &known {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .env("PKI_HOME", &place)
            .args(arguments)
            .current_dir(&beside);
        command
    };
    (home, pki)
}

#[test]
fn the_units_that_are_printed_are_good_for_this_home() {
    if !need(&["systemd-analyze"]) {
        return;
    }
    let (home, pki) = in_odd_places();
    let web = home.path("web 5%");
    let place = home.path("a 100% 'home'");
    let units = |table: &str| {
        let path = place.join("pki.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.split("\n[[publish]]\n").next().unwrap();
        std::fs::write(&path, format!("{text}\n{table}")).unwrap();
        let said = finish(
            &mut pki(&["config", "systemd", "--reload", "haproxy.service"]),
            b"",
        )
        .ok();
        let script = home.write_private("units.sh", &said.stdout);
        let directory = home.path("units");
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir(&directory).unwrap();
        home.foreign("sh", &[script.to_str().unwrap(), directory.to_str().unwrap()])
            .ok();
        let mut names: Vec<String> = std::fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().path().display().to_string())
            .collect();
        names.sort();
        let mut arguments = vec!["verify"];
        arguments.extend(names.iter().map(String::as_str));
        let verified = home.foreign("systemd-analyze", &arguments);
        // A machine may have faults of its own, in units of its own.
        let ours = |line: &&str| ["pki-", "units/"].iter().any(|part| line.contains(part));
        let faults: Vec<&str> = verified.stderr.lines().filter(ours).collect();
        assert_eq!(faults, [""; 0], "{verified}\n{}", said.stdout);
        let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
        [
            "pki-publish.service",
            "pki-publish.timer",
            "pki-reload.path",
            "pki-reload.service",
        ]
        .map(read)
    };
    let table = |more: &str| {
        format!(
            "[[publish]]\npublic = \"{}\"\n{more}\n",
            web.join("public").display()
        )
    };
    let escaped = |path: &std::path::Path| path.display().to_string().replace('%', "%%");

    let [service, timer, path, reload] = units(&table("reload = \"elsewhere\""));
    assert!(
        service.contains(&format!("Environment=\"PKI_HOME={}\"\n", escaped(&place))),
        "{service}"
    );
    assert!(
        service.contains(&format!("ReadWritePaths=\"-{}\"\n", escaped(&web))),
        "{service}"
    );
    assert!(
        service.contains("PrivateNetwork=yes") && timer.contains("OnCalendar="),
        "{service}"
    );
    let manifest = web.join("public/manifest.json");
    assert!(
        path.contains(&format!("PathChanged={}\n", escaped(&manifest))),
        "{path}"
    );
    assert!(reload.contains("systemctl reload haproxy.service"), "{reload}");

    // Whom a command tells, nothing watches; and sudo must work in it.
    let [service, _, path, _] = units(&table("command = [\"true\"]"));
    assert!(
        path.is_empty() && !service.contains("NoNewPrivileges"),
        "{service}"
    );
    // Without a place servers read the home's own copy.
    let [_, _, path, _] = units("");
    assert!(
        path.contains(&format!("PathChanged={}/public/manifest.json\n", escaped(&place))),
        "{path}"
    );
    let bucket = "[[publish]]\npublic = \"s3://acme/public\"\nregion = \"r\"\ncredentials_file = \"/c\"\n";
    let [service, _, path, _] = units(bucket);
    assert!(
        path.is_empty() && !service.contains("PrivateNetwork"),
        "{service}"
    );

    let restart = ["config", "systemd", "--restart", "freeradius.service"];
    let said = finish(&mut pki(&restart), b"").exits(0);
    // Nothing is watched where the place is a bucket.
    assert!(!said.stdout.contains("freeradius"), "{said}");
    units("");
    let said = finish(&mut pki(&restart), b"").ok();
    assert!(
        said.stdout.contains("systemctl restart freeradius.service "),
        "{said}"
    );
    assert!(!said.stdout.contains("systemctl reload"), "{said}");

    // Another server's units are not overwritten, and nothing else is then; one set of them serves both.
    let directory = home.path("units");
    let both = [&restart[..], &["--reload", "haproxy.service"]].concat();
    let install = |arguments: &[&str]| {
        let said = finish(&mut pki(arguments), b"").ok();
        let script = home.write_private("units.sh", &said.stdout);
        home.foreign("sh", &[script.to_str().unwrap(), directory.to_str().unwrap()])
    };
    let reload = || std::fs::read_to_string(directory.join("pki-reload.service")).unwrap();
    std::fs::remove_file(directory.join("pki-publish.timer")).unwrap();
    let before = reload();
    let refuses = |arguments: &[&str], named: &str| {
        let refused = install(arguments).exits(1);
        assert!(refused.stderr.contains(named), "{refused}");
        assert!(!directory.join("pki-publish.timer").exists());
        refused
    };
    let refused = refuses(&restart, "has haproxy.service read what is published");
    assert!(refused.stderr.contains("--restart UNIT for each"), "{refused}");
    assert_eq!(reload(), before);
    // As these units were written once.
    let one = "[Service]\nExecStart=/usr/bin/systemctl reload haproxy.service\n";
    std::fs::write(directory.join("pki-reload.service"), one).unwrap();
    refuses(&restart, "has haproxy.service read what is published");
    for _ in ["new", "again"] {
        install(&both).ok();
    }
    for part in [
        "systemctl reload haproxy.service ",
        "systemctl restart freeradius.service ",
    ] {
        assert!(reload().contains(part), "{}", reload());
    }
    // The unit may have been copied from the examples, which quote nothing.
    let service = std::fs::read_to_string(directory.join("pki-publish.service")).unwrap();
    let quoted = service
        .lines()
        .find(|line| line.starts_with("Environment="))
        .unwrap();
    let bare = quoted.replace('"', "");
    std::fs::write(
        directory.join("pki-publish.service"),
        service.replace(quoted, &bare),
    )
    .unwrap();
    install(&both).ok();
    // Nor is another PKI's timer overwritten, which would let its CRL end.
    let other = std::fs::read_to_string(directory.join("pki-publish.service")).unwrap();
    let other = other.replace("'home'", "'other'");
    std::fs::write(directory.join("pki-publish.service"), &other).unwrap();
    std::fs::remove_file(directory.join("pki-publish.timer")).unwrap();
    refuses(&both, "is of another home");
    let kept = std::fs::read_to_string(directory.join("pki-publish.service")).unwrap();
    assert_eq!(kept, other);

    // A template of the home that was written when one server was named says what it said.
    let own = place.join("templates/config");
    std::fs::create_dir_all(&own).unwrap();
    let old = "systemctl {% if restart %}restart{% else %}reload{% endif %} {{ reload }}\n";
    std::fs::write(own.join("systemd.sh"), old).unwrap();
    for (arguments, printed) in [
        (&restart[..], "systemctl restart freeradius.service\n"),
        (&["config", "systemd"], "systemctl reload nginx.service\n"),
    ] {
        assert_eq!(finish(&mut pki(arguments), b"").ok().stdout, printed);
    }
    std::fs::remove_dir_all(place.join("templates")).unwrap();

    finish(&mut pki(&["config", "systemd", "--reload", "x; rm"]), b"").exits(2);
    finish(&mut pki(&["config", "cron", "api.acme.example"]), b"").exits(2);
    finish(&mut pki(&["config", "nginx", "--reload", "nginx"]), b"").exits(2);
}

/// The words of a command in a unit: systemd.service(5), "Command lines".
fn words(unit: &str) -> Vec<String> {
    let unit = unit.replace("\\\n", " ");
    let line = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .unwrap();
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, after) = match rest.chars().next() {
            Some(quote @ ('\'' | '"')) => rest[1..].split_once(quote).unwrap(),
            _ => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(word.replace("$$", "$").replace("%%", "%"));
        rest = after.trim();
    }
    words
}

#[test]
fn every_publication_is_read_also_one_that_comes_while_servers_read_the_last() {
    let (home, pki) = in_odd_places();
    let said = finish(
        &mut pki(&[
            "config",
            "systemd",
            "--reload",
            "a.service",
            "--restart",
            "b.service",
        ]),
        b"",
    )
    .ok();
    let script = home.write_private("units.sh", &said.stdout);
    std::fs::create_dir(home.path("units")).unwrap();
    let directory = home.path("units").display().to_string();
    home.foreign("sh", &[script.to_str().unwrap(), &directory]).ok();
    let unit = std::fs::read_to_string(home.path("units/pki-reload.service")).unwrap();
    let command = words(&unit);
    let manifest = home.path("a 100% 'home'/public/manifest.json");
    assert!(command.contains(&manifest.display().to_string()), "{command:?}");

    // While the first reload runs, something is published.
    let shims = home.path("shims");
    std::fs::create_dir(&shims).unwrap();
    std::fs::create_dir(home.path("run")).unwrap();
    let shim = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::write(shims.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(shims.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    shim("sleep", "");
    let list = home.path("ran");
    let record = format!("echo \"$@\" >> '{}'", list.display());
    let starts = || {
        let _ = std::fs::remove_file(&list);
        let status = Command::new(&command[0])
            .args(&command[1..])
            .env("RUNTIME_DIRECTORY", home.path("run"))
            .env("PATH", format!("{}:/usr/bin:/bin", shims.display()))
            .status()
            .unwrap();
        let ran = std::fs::read_to_string(&list).unwrap_or_default();
        (
            status.success(),
            ran.lines().map(str::to_owned).collect::<Vec<_>>(),
        )
    };
    let [reload, restart] = ["reload a.service", "restart b.service"];
    shim(
        "systemctl",
        &format!(
            "{record}\ntest -e published && exit\ntouch published\necho >> \"{}\"",
            manifest.display()
        ),
    );
    assert_eq!(
        starts(),
        (
            true,
            [reload, restart, reload, restart].map(str::to_owned).to_vec()
        )
    );
    assert_eq!(starts(), (true, vec![]));
    // One that is down keeps no other from it, and what fails is tried again with the next start, though
    // nothing is new then.
    std::fs::write(&manifest, "another").unwrap();
    shim("systemctl", &format!("{record}\n[ \"$1\" != reload ]"));
    assert_eq!(starts(), (false, [reload, restart].map(str::to_owned).to_vec()));
    shim("systemctl", &record);
    assert_eq!(starts(), (true, [reload, restart].map(str::to_owned).to_vec()));
}

#[test]
fn the_lines_for_cron_do_what_they_say_for_this_home() {
    let (home, pki) = in_odd_places();
    let said = finish(&mut pki(&["config", "cron"]), b"").ok();
    let is_line = |line: &&str| line.starts_with(|c: char| c.is_ascii_digit());
    let lines: Vec<&str> = said.stdout.lines().filter(is_line).collect();
    let [publish, reload] = lines[..] else {
        panic!("{said}")
    };
    assert!(
        reload.ends_with("  root  systemctl reload nginx.service"),
        "{reload}"
    );
    let restart = ["config", "cron", "--restart", "freeradius.service"];
    let said = finish(&mut pki(&restart), b"").ok();
    assert!(
        said.stdout.ends_with(
            "  root  systemctl restart freeradius.service
"
        ),
        "{said}"
    );
    let both = [&restart[..], &["--reload", "nginx.service"]].concat();
    let said = finish(&mut pki(&both), b"").ok();
    for line in [
        "  root  systemctl reload nginx.service\n",
        "  root  systemctl restart freeradius.service\n",
    ] {
        assert!(said.stdout.contains(line), "{said}");
    }
    // As cron reads it: five fields, the account, and a command up to the first percent sign without a
    // backslash.
    let fields: Vec<&str> = publish.split_whitespace().take(6).collect();
    assert_eq!(fields[..5], ["17", "*/6", "*", "*", "*"]);
    let command = publish.split_once(&format!("  {}  ", fields[5])).unwrap().1;
    assert!(!command.replace("\\%", "").contains('%'), "{command}");
    std::fs::rename(home.path("issuing-passphrase"), home.path(".pki-passphrase")).unwrap();
    let mut cron = Command::new("/bin/sh");
    cron.args(["-c", &command.replace("\\%", "%")])
        .env_clear()
        .env("HOME", home.path(""))
        .env("PATH", "/usr/bin:/bin");
    let ran = finish(&mut cron, b"").ok();
    assert_eq!(ran.stderr, "", "{ran}");
    assert!(home.path("a 100% 'home'/timer.json").exists());
}
