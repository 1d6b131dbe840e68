// Verifies pins.jws, the pins that a PKI of `pki` signs for its apps. iOS 15 or macOS 12, or later.
//
// It throws PinsRefused unless the token was signed by a CA for devices that this very root has issued. The root comes with the app;
// a device's and a server's certificate chain to it as well, and what their keys sign is refused. An app keeps the sets that it knows
// where this throws, and remembers `number`: an older token is refused.

import CryptoKit
import Foundation
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

public struct PinsRefused: Error, CustomStringConvertible {
    public let description: String
}

/// `root` comes with the app, in DER. `lastNumber` is that of the last token that was taken, and a lower one is refused.
/// `isRevoked` is asked for the serial number of the CA that signed, where the app knows the root's CRL.
public func verifyPins(
    _ token: String, root: Data, lastNumber: Int64, now: Date = Date(), isRevoked: (Data) -> Bool = { _ in false }
) throws -> Pins {
    struct Header: Decodable {
        let alg: String
        let typ: String
        let x5c: [Data]
        let crit: [String]?
    }
    let parts = token.trimmingCharacters(in: .whitespacesAndNewlines).components(separatedBy: ".")
    try demand(parts.count == 3, "no JWS in compact form")
    let header = try JSONDecoder().decode(Header.self, from: base64url(parts[0]))
    try demand(header.alg == "ES256", "another algorithm than ES256")
    try demand(header.typ == "pki-pins+jws", "no pins, but another statement")
    try demand(header.crit == nil, "an extension that must be understood")
    try demand(header.x5c.count == 1, "not exactly one certificate")

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
    try demand(!isRevoked(SecCertificateCopySerialNumberData(signer, nil)! as Data), "signed by a CA that was revoked")

    guard let secKey = SecCertificateCopyKey(signer), let point = SecKeyCopyExternalRepresentation(secKey, nil) as Data?
    else { throw PinsRefused(description: "pins.jws: no key") }
    let key = try P256.Signing.PublicKey(x963Representation: point)
    let signature = try P256.Signing.ECDSASignature(rawRepresentation: base64url(parts[2]))
    try demand(key.isValidSignature(signature, for: Data("\(parts[0]).\(parts[1])".utf8)), "a signature that does not hold")

    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    decoder.dateDecodingStrategy = .iso8601
    let pins = try decoder.decode(Pins.self, from: base64url(parts[1]))
    let seconds = Int64(now.timeIntervalSince1970)
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

/// The elements of a constructed value in DER.
private func elements(_ der: [UInt8]) throws -> [(tag: UInt8, content: [UInt8])] {
    var found: [(tag: UInt8, content: [UInt8])] = []
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
        found.append((der[at], Array(der[content..<content + length])))
        at = content + length
    }
    try demand(!found.isEmpty, "cut short")
    return found
}
