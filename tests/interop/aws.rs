//! What is for AWS, as far as it can be run without AWS: the authorizer of an API Gateway in Node.js, and the
//! script for a load balancer with an `aws` that writes down what it is asked.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{Bundle, HOST, Home, need};

/// Asks the authorizer as API Gateway does, in its payload format 2.0.
const ASK: &str = r#"
import fs from "node:fs";
import { handler } from "./index.mjs";
const [certificate, sourceIp, header = "User-Agent"] = process.argv.slice(2);
const clientCert = certificate && { clientCertPem: fs.readFileSync(certificate, "utf8") };
const requestContext = { http: { sourceIp }, ...(clientCert && { authentication: { clientCert } }) };
console.log(JSON.stringify(await handler({ version: "2.0", headers: { [header]: "bob/phone" }, requestContext })));
"#;

#[test]
fn the_authorizer_lets_in_whom_the_list_has_and_tells_the_device() {
    if !need(&["node", "openssl"]) {
        return;
    }
    let home = Home::staffed();
    home.configure("allowed_networks", r#"["192.0.2.0/24", "2001:db8::/32"]"#);
    std::fs::write(home.path("ask.mjs"), ASK).unwrap();
    let deploy = || {
        let text = home.run(&["config", "aws-api-gateway", HOST]).stdout;
        std::fs::write(home.path("index.mjs"), text).unwrap();
        std::fs::copy(home.server("devices.json"), home.path("devices.json")).unwrap();
    };
    let ask = |certificate: &str, from: &str| -> Value {
        home.foreign("node", &["ask.mjs", certificate, from]).ok().json()
    };
    let leaf = |bundle: &Bundle| home.opened(bundle)[0].display().to_string();
    let refused = json!({ "isAuthorized": false });
    deploy();
    let (alice, bob) = (leaf(&home.alice()), leaf(&home.bob()));
    for (certificate, bundle, address) in [
        (&alice, home.alice(), "alice/phone"),
        (&bob, home.bob(), "bob/phone"),
    ] {
        let expected =
            json!({ "isAuthorized": true, "context": { "device": address, "serial": bundle.serial } });
        assert_eq!(ask(certificate, "192.0.2.7"), expected);
        assert_eq!(ask(certificate, "2001:db8::1"), expected);
        assert_eq!(ask(certificate, "198.51.100.1"), refused);
    }
    assert_eq!(ask("", "192.0.2.7"), refused);
    let other = Home::bare();
    let stranger = other.opened(&other.issue("alice", &[]))[0].display().to_string();
    assert_eq!(ask(&stranger, "192.0.2.7"), refused);
    // Names that the application would take for X-Client-Device, which the gateway sets.
    for header in ["X_Client_Device", "x.client.device", "X-Client+Device"] {
        let said = home.foreign("node", &["ask.mjs", &bob, "192.0.2.7", header]).ok();
        assert_eq!(said.json(), refused, "{header}");
    }
    let authority = home.path("home/issuing/issuing.crt").display().to_string();
    assert_eq!(ask(&authority, "192.0.2.7"), refused);
    home.run(&["revoke", "alice", "--yes"]);
    deploy();
    assert_eq!(ask(&alice, "192.0.2.7"), refused);
    assert_eq!(ask(&bob, "192.0.2.7")["isAuthorized"], true);
}

/// Writes down each argument, and says what the real one would say.
const AWS: &str = r#"#!/bin/sh
for word; do printf '%s|' "$word"; done >> calls
echo >> calls
case "$1 $2" in
    'elbv2 create-trust-store' | 'elbv2 describe-trust-stores') echo arn:store ;;
    'elbv2 describe-trust-store-revocations') cat revocations ;;
esac
"#;

#[test]
fn the_load_balancer_has_both_crls_before_it_listens_and_the_new_ones_before_the_old_ones_go() {
    if !need(&["sh"]) {
        return;
    }
    let home = Home::staffed();
    home.configure("allowed_networks", r#"["192.0.2.0/24", "2001:db8::/32"]"#);
    let public = home.public("").display().to_string();
    let text = home.run(&["config", "aws-alb", HOST, "--public", &public]).stdout;
    std::fs::write(home.path("aws-alb.sh"), text).unwrap();
    std::fs::write(home.path("aws"), AWS).unwrap();
    std::fs::set_permissions(home.path("aws"), Permissions::from_mode(0o755)).unwrap();
    let run = |verb: &str, revocations: &str| -> Vec<String> {
        std::fs::write(home.path("revocations"), revocations).unwrap();
        let _ = std::fs::remove_file(home.path("calls"));
        let set = "PATH=$PWD:$PATH BUCKET=b LOAD_BALANCER_ARN=lb TARGET_GROUP_ARN=tg CERTIFICATE_ARN=c SECURITY_GROUP_ID=sg";
        home.foreign("sh", &["-c", &format!("{set} sh aws-alb.sh {verb}")])
            .ok();
        let calls = std::fs::read_to_string(home.path("calls")).unwrap();
        calls.lines().map(str::to_owned).collect()
    };
    let place = |calls: &[String], what: &str| -> usize {
        let found = calls.iter().position(|call| call.contains(what));
        found.unwrap_or_else(|| panic!("{what}: {calls:#?}"))
    };
    let number = std::fs::read_to_string(home.public("manifest.json")).unwrap();
    let number = serde_json::from_str::<Value>(&number).unwrap()["number"].to_string();

    let calls = run("create", "None");
    let added = place(&calls, "add-trust-store-revocations");
    let listening = place(&calls, "create-listener");
    assert!(added < listening, "{calls:#?}");
    let dropped = "modify-load-balancer-attributes|--load-balancer-arn|lb|--attributes|\
                   Key=routing.http.drop_invalid_header_fields.enabled,Value=true|";
    assert!(place(&calls, dropped) < listening, "{calls:#?}");
    for crl in ["root", "issuing"] {
        let object = format!("S3Bucket=b,S3Key=pki/{number}/{crl}.pem,RevocationType=CRL|");
        assert!(calls[added].contains(&object), "{calls:#?}");
        let upload = format!(
            "s3|cp|{}/crl/{crl}.pem|s3://b/pki/{number}/{crl}.pem|",
            public.trim_end_matches('/')
        );
        assert!(place(&calls, &upload) < added);
    }
    assert!(
        calls[listening].contains("|--mutual-authentication|Mode=verify,TrustStoreArn=arn:store,"),
        "{calls:#?}"
    );
    assert!(
        !calls
            .iter()
            .any(|call| call.contains("remove-trust-store-revocations")),
        "{calls:#?}"
    );
    for range in [
        "IpRanges=[{CidrIp=192.0.2.0/24}]",
        "Ipv6Ranges=[{CidrIpv6=2001:db8::/32}]",
    ] {
        place(&calls, range);
    }

    let calls = run("update", "3\t4");
    let removed = place(&calls, "remove-trust-store-revocations");
    assert!(
        place(&calls, "add-trust-store-revocations") < removed,
        "{calls:#?}"
    );
    assert!(calls[removed].ends_with("|--revocation-ids|3|4|"), "{calls:#?}");
    assert!(!calls.iter().any(|call| call.contains("create-")), "{calls:#?}");
}
