// Verifies pins.jws, the pins that a PKI of `pki` signs for its apps. iOS 15 or macOS 12, or later.
//
// It throws PinsRefused unless the token was signed by a CA for devices that this very root has issued. The root comes with the app;
// a device's and a server's certificate chain to it as well, and what their keys sign is refused. An app keeps the sets that it knows
// where this throws, and remembers `number`: an older token is refused.

import CryptoKit
import Foundation
import Network
import Security

public struct PinSet: Decodable {
    public struct Key: Decodable { public let pin: Data }
    public let host: String
    public let includeSubdomains: Bool
    public let expires: Date
    public let pins: [Key]
}

public struct Pins: Decodable {
    public let version: Int
    public let number: Int64
    public let iat: Int64
    public let exp: Int64
    public let sets: [PinSet]
}

extension Pins {
    /// The set that holds for a host: its own, or that of the nearest host above that includes it; no other one counts beside it. Letter
    /// case and a dot at the end make no other host, and an address has none below it.
    public func set(of host: String) -> PinSet? {
        let plain = canonical(host)
        let covering = sets.filter { set in
            let name = canonical(set.host)
            return plain == name || (set.includeSubdomains && !isAddress(set.host) && plain.hasSuffix("." + name))
        }
        return covering.max { $0.host.count < $1.host.count }
    }
}

private func isAddress(_ host: String) -> Bool {
    return IPv6Address(host) != nil || IPv4Address(host) != nil
}

private func canonical(_ host: String) -> String {
    if let address = IPv6Address(host) { return address.rawValue.base64EncodedString() }
    let lower = host.lowercased()
    return lower.hasSuffix(".") ? String(lower.dropLast()) : lower
}

public struct PinsRefused: Error, CustomStringConvertible {
    public let description: String
}

// More than any has, and little enough to be read before it is known who has signed it.
private let longestToken = 256 * 1024
private let longestHeader = 8 * 1024

/// `root` comes with the app, in DER. `lastNumber` is that of the last token that was taken, and a lower one is refused.
/// `rootCRL`, in DER, is given where a CA that was revoked is to be refused, too, and must be in date.
public func verifyPins(
    _ token: String, root: Data, lastNumber: Int64, now: Date = Date(), rootCRL: Data? = nil
) throws -> Pins {
    struct Header: Decodable {
        let alg: String
        let typ: String
        let x5c: [Data]
        let crit: [String]?
    }
    try demand(token.utf8.count <= longestToken, "longer than 256 KiB")
    let parts = token.trimmingCharacters(in: .whitespacesAndNewlines).components(separatedBy: ".")
    try demand(parts.count == 3, "no JWS in compact form")
    try demand(parts[0].utf8.count <= longestHeader, "a header longer than 8 KiB")
    let header = try JSONDecoder().decode(Header.self, from: base64url(parts[0]))
    try demand(header.alg == "ES256", "another algorithm than ES256")
    try demand(header.typ == "pki-pins+jws", "no pins, but another statement")
    try demand(header.crit == nil, "an extension that must be understood")
    try demand(header.x5c.count == 1, "not exactly one certificate")

    try demand(elements([UInt8](header.x5c[0])).count == 1, "something behind the certificate")
    guard let anchor = SecCertificateCreateWithData(nil, root as CFData),
        let signer = SecCertificateCreateWithData(nil, header.x5c[0] as CFData)
    else { throw PinsRefused(description: "pins.jws: no certificate") }
    try demand(header.x5c[0] != root, "signed by the root itself")
    var trust: SecTrust?
    SecTrustCreateWithCertificates([signer] as CFArray, SecPolicyCreateBasicX509(), &trust)
    guard let trust = trust else { throw PinsRefused(description: "pins.jws: no certificate") }
    SecTrustSetAnchorCertificates(trust, [anchor] as CFArray)
    SecTrustSetAnchorCertificatesOnly(trust, true)
    SecTrustSetNetworkFetchAllowed(trust, false)
    SecTrustSetVerifyDate(trust, now as CFDate)
    try demand(SecTrustEvaluateWithError(trust, nil), "signed by a CA that this root has not issued, or that is out of date")
    let chain = SecTrustCopyCertificateChain(trust) as? [SecCertificate]
    try demand(chain?.count == 2, "signed by a CA that this root has not issued itself")
    let purposes = try Purposes(certificate: header.x5c[0])
    try demand(purposes.isCA, "signed by a certificate that is no CA's")
    try demand(purposes.digitalSignature, "signed by a CA that may not sign statements")
    try demand(purposes.clientAuth, "signed by a CA that is not for devices")
    if let crl = rootCRL {
        guard let serial = SecCertificateCopySerialNumberData(signer, nil) as Data?
        else { throw PinsRefused(description: "pins.jws: no serial number") }
        try demand(!isRevoked([UInt8](serial), crl: [UInt8](crl), root: publicKey(anchor), now: now), "signed by a CA that was revoked")
    }

    let key = try publicKey(signer)
    let signature = try P256.Signing.ECDSASignature(rawRepresentation: base64url(parts[2]))
    try demand(key.isValidSignature(signature, for: Data("\(parts[0]).\(parts[1])".utf8)), "a signature that does not hold")

    // Not before: what anybody may have written is not looked at. The decoder takes no string and no fraction for an integer, and no
    // string for a boolean.
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    decoder.dateDecodingStrategy = .iso8601
    let pins = try decoder.decode(Pins.self, from: base64url(parts[1]))
    let seconds = Int64(now.timeIntervalSince1970)
    // Beyond 2^53 not every reader has the same number (RFC 8259 §6).
    try demand([pins.number, pins.iat, pins.exp].allSatisfy { $0.magnitude < 1 << 53 }, "a number that is no integer")
    try demand(pins.version == 1, "another version than 1")
    try demand(pins.number > 0 && pins.iat < pins.exp, "no number or dates")
    try demand(pins.number >= lastNumber, "older than what is known")
    try demand(pins.iat <= seconds + 300, "signed in the future")
    try demand(seconds < pins.exp, "expired")
    try demand(pins.sets.allSatisfy { $0.pins.count >= 2 && $0.pins.allSatisfy { $0.pin.count == 32 } }, "no pin sets")
    return pins
}

private func demand(_ holds: Bool, _ otherwise: String) throws {
    if !holds { throw PinsRefused(description: "pins.jws: " + otherwise) }
}

private func base64url(_ text: String) throws -> Data {
    let standard = text.replacingOccurrences(of: "-", with: "+").replacingOccurrences(of: "_", with: "/")
    let padded = standard.padding(toLength: (standard.count + 3) / 4 * 4, withPad: "=", startingAt: 0)
    guard !text.contains("="), let octets = Data(base64Encoded: padded)
    else { throw PinsRefused(description: "pins.jws: no base64url") }
    return octets
}

private func publicKey(_ certificate: SecCertificate) throws -> P256.Signing.PublicKey {
    guard let key = SecCertificateCopyKey(certificate), let point = SecKeyCopyExternalRepresentation(key, nil) as Data?
    else { throw PinsRefused(description: "pins.jws: no key") }
    return try P256.Signing.PublicKey(x963Representation: point)
}

/// Whether the root's CRL, which must be the root's and in date, lists a serial number (RFC 5280 §5.1): one that has ended does not tell
/// what was revoked since.
private func isRevoked(_ serial: [UInt8], crl: [UInt8], root: P256.Signing.PublicKey, now: Date) throws -> Bool {
    let parts = try elements(elements(crl)[0].content)
    try demand(parts.count == 3, "no CRL")
    let signature = try P256.Signing.ECDSASignature(derRepresentation: Data(parts[2].content.dropFirst()))
    try demand(root.isValidSignature(signature, for: Data(parts[0].whole)), "a CRL that is not the root's")
    let tbs = try elements(parts[0].content)
    let dates = tbs.indices.filter { tbs[$0].tag == 0x17 || tbs[$0].tag == 0x18 }
    try demand(dates.count == 2, "a CRL without an end")
    let begins = try date(tbs[dates[0]].tag, tbs[dates[0]].content)
    let ends = try date(tbs[dates[1]].tag, tbs[dates[1]].content)
    try demand(begins <= now.addingTimeInterval(300), "a CRL of the root that begins in the future")
    try demand(now <= ends, "a CRL of the root that has ended")
    // After the dates; without entries there is no such list.
    let after = dates[1] + 1
    guard after < tbs.count, tbs[after].tag == 0x30 else { return false }
    for entry in try elements(tbs[after].content) {
        let listed = try elements(entry.content)[0].content
        if listed.drop(while: { $0 == 0 }).elementsEqual(serial.drop(while: { $0 == 0 })) { return true }
    }
    return false
}

/// A date in DER. UTCTime (0x17) has two digits of the year (RFC 5280 §4.1.2.5.1).
private func date(_ tag: UInt8, _ content: [UInt8]) throws -> Date {
    let text = String(decoding: content, as: UTF8.self)
    let century = tag == 0x17 ? (text < "50" ? "20" : "19") : ""
    let format = DateFormatter()
    format.calendar = Calendar(identifier: .gregorian)
    format.locale = Locale(identifier: "en_US_POSIX")
    format.timeZone = TimeZone(secondsFromGMT: 0)
    format.dateFormat = "yyyyMMddHHmmss'Z'"
    guard let date = format.date(from: century + text)
    else { throw PinsRefused(description: "pins.jws: a date that is none") }
    return date
}

/// What a certificate is for (RFC 5280 §4.2.1): iOS has no public function that tells.
private struct Purposes {
    var isCA = false
    var digitalSignature = false
    var clientAuth = false

    init(certificate: Data) throws {
        let tbs = try elements(elements(elements([UInt8](certificate))[0].content)[0].content)
        guard let extensions = tbs.first(where: { $0.tag == 0xA3 }) else { return }
        for item in try elements(elements(extensions.content)[0].content) {
            let parts = try elements(item.content)
            guard let name = parts.first, let value = parts.last else { continue }
            switch name.content {
            case [0x55, 0x1D, 0x13]:
                isCA = try elements(elements(value.content)[0].content).first.map { $0.tag == 1 && $0.content == [0xFF] } ?? false
            case [0x55, 0x1D, 0x0F]:
                let bits = try elements(value.content)[0].content
                digitalSignature = bits.count > 1 && bits[1] & 0x80 != 0
            case [0x55, 0x1D, 0x25]:
                clientAuth = try elements(elements(value.content)[0].content)
                    .contains { $0.content == [0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02] }
            default: continue
            }
        }
    }
}

/// The elements of a constructed value in DER: the tag of each, its content, and all of it.
private func elements(_ der: [UInt8]) throws -> [(tag: UInt8, content: [UInt8], whole: [UInt8])] {
    var found: [(tag: UInt8, content: [UInt8], whole: [UInt8])] = []
    var at = 0
    while at < der.count {
        try demand(at + 2 <= der.count, "cut short")
        var length = Int(der[at + 1])
        var content = at + 2
        if length & 0x80 != 0 {
            let octets = length & 0x7F
            try demand((1...4).contains(octets) && content + octets <= der.count, "a length that is no DER")
            length = der[content..<content + octets].reduce(0) { $0 << 8 | Int($1) }
            content += octets
        }
        try demand(content + length <= der.count, "cut short")
        found.append((der[at], Array(der[content..<content + length]), Array(der[at..<content + length])))
        at = content + length
    }
    try demand(!found.isEmpty, "cut short")
    return found
}
