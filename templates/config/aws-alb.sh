#!/bin/sh
# An AWS Application Load Balancer in front of {{ host }}: devices only. Needs the AWS CLI, version 2.
#
#     sh aws-alb.sh create      once: the trust store and the listener
#     sh aws-alb.sh update      after every publication: the CRLs
#
# The load balancer checks the chain, the dates and the CRLs of both CAs, and resumes no session. A connection that is open when its
# device is locked out stays until it ends: the application should look each request up in devices.json, as below, and refuse what is
# not in it. (Limits: 30 CRLs of 50 MB and 500,000 entries to a trust store.)
#
# What the application gets: X-Amzn-Mtls-Clientcert-Serial-Number, -Subject, -Issuer, -Validity and -Leaf. There is no X-Client-Device:
# WHAT A CLIENT SENDS BY THAT NAME GOES THROUGH, SO THE APPLICATION MUST IGNORE IT, as well as Forwarded, X-Real-IP and the like; of
# X-Forwarded-For the last address is the load balancer's word. It drops names with anything but letters, digits and hyphens, which
# applications would take for its own (X_Amzn_Mtls_…): this script has it do so. Who is not in devices.json, a CA's own certificate as
# well, is to be refused. A device is who devices.json calls it by its serial number, and not who the CN in -Subject does: that is what
# a person is called, and two may be called alike. Node.js, with devices.json of the servers' half:
#
#     const devicesIn = (name) => JSON.parse(fs.readFileSync(name)).devices.map((device) => [device.serial, device.address]);
{% if short_lists %}
#     const bySerial = new Map([...devicesIn("devices.json"), ...devicesIn("devices-recent.json")]);
#     for (const line of fs.readFileSync("revoked.map", "utf8").split("\n")) bySerial.delete(line.split(" ")[0]);
{% else %}
#     const bySerial = new Map(devicesIn("devices.json"));
{% endif %}
#     const serial = request.headers["x-amzn-mtls-clientcert-serial-number"] ?? "";
#     const device = bySerial.get(serial.replaceAll(":", "").toUpperCase().padStart(32, "0"));   // undefined: refuse
#
# The application must be reachable through the load balancer alone: its security group lets in that of the load balancer only.
set -eu

# What a person must decide: the names of what is there already.
: "${BUCKET:?an S3 bucket of your own, in the region of the load balancer}"
: "${TRUST_STORE_NAME:=pki-devices}"

PUBLIC={{ public }}
PORT={{ port }}

trust_store() {
    aws elbv2 describe-trust-stores --names "$TRUST_STORE_NAME" --query 'TrustStores[0].TrustStoreArn' --output text
}

upload() {
    # One key for each content: a trust store reads an object once, when it is told to.
    number=$(sed -n 's/.*"number": *\([0-9]*\).*/\1/p' "$PUBLIC/manifest.json" | head -n 1)
    for crl in root issuing; do
        aws s3 cp "$PUBLIC/crl/$crl.pem" "s3://$BUCKET/pki/$number/$crl.pem" >&2
    done
    printf '%s\n' "$number"
}

create() {
    : "${LOAD_BALANCER_ARN:?the load balancer}"
    : "${TARGET_GROUP_ARN:?where the application is}"
    : "${CERTIFICATE_ARN:?the certificate of {{ host }} in ACM}"
    aws s3 cp "$PUBLIC/ca/bundle.pem" "s3://$BUCKET/pki/ca.pem" >&2
    arn=$(aws elbv2 create-trust-store --name "$TRUST_STORE_NAME" \
        --ca-certificates-bundle-s3-bucket "$BUCKET" --ca-certificates-bundle-s3-key pki/ca.pem \
        --query 'TrustStores[0].TrustStoreArn' --output text)
    # Left alone, it hands on names that many applications take for others: X_Amzn_Mtls_Clientcert_Serial_Number.
    aws elbv2 modify-load-balancer-attributes --load-balancer-arn "$LOAD_BALANCER_ARN" \
        --attributes Key=routing.http.drop_invalid_header_fields.enabled,Value=true
    # First the CRLs, then the listener: nobody who is locked out gets in meanwhile.
    update
    # TLS 1.2 and 1.3, forward secrecy and authenticated encryption only.
    aws elbv2 create-listener --load-balancer-arn "$LOAD_BALANCER_ARN" --protocol HTTPS --port "$PORT" \
        --ssl-policy ELBSecurityPolicy-TLS13-1-2-Res-2021-06 --certificates "CertificateArn=$CERTIFICATE_ARN" \
        --mutual-authentication "Mode=verify,TrustStoreArn=$arn,IgnoreClientCertificateExpiry=false" \
        --default-actions "Type=forward,TargetGroupArn=$TARGET_GROUP_ARN"
{% if networks %}
    # allowed_networks of pki.toml: the security group of the load balancer.
    : "${SECURITY_GROUP_ID:?the security group of the load balancer, without other rules for port {{ port }}}"
{% for network in networks %}
    aws ec2 authorize-security-group-ingress --group-id "$SECURITY_GROUP_ID" --ip-permissions \
        'IpProtocol=tcp,FromPort={{ port }},ToPort={{ port }},{% if network.family == "ipv4" %}IpRanges=[{CidrIp={% else %}Ipv6Ranges=[{CidrIpv6={% endif %}{{ network.range }}}]'
{% endfor %}
{% else %}
    # To let in some networks only, set allowed_networks in pki.toml; without it the security group of the load balancer decides.
{% endif %}
}

# The new CRLs come before the old ones go. With two of one CA, both are heeded.
update() {
    arn=$(trust_store)
    old=$(aws elbv2 describe-trust-store-revocations --trust-store-arn "$arn" \
        --query 'TrustStoreRevocations[].RevocationId' --output text)
    number=$(upload)
    aws elbv2 add-trust-store-revocations --trust-store-arn "$arn" --revocation-contents \
        "S3Bucket=$BUCKET,S3Key=pki/$number/root.pem,RevocationType=CRL" \
        "S3Bucket=$BUCKET,S3Key=pki/$number/issuing.pem,RevocationType=CRL"
    case "$old" in
        '' | None) ;;
        # shellcheck disable=SC2086
        *) aws elbv2 remove-trust-store-revocations --trust-store-arn "$arn" --revocation-ids $old ;;
    esac
}

case "${1:-}" in
    create) create ;;
    update) update ;;
    *) echo "usage: sh aws-alb.sh create|update" >&2; exit 2 ;;
esac
