// Enrolls a device by an invite of a PKI of `pki`, and renews its certificate. iOS 15 or later. It has not been run, and no compiler
// of Apple's has seen it yet: it is Enrollment.kt, which the project's tests run against the service, in Swift.
//
// What is scanned is a link, https://HOST/i/ID#SECRET.PIN. The page at HOST says where devices enroll, and is believed in nothing
// else: the key there must have the PIN, and only then is anything sent. The key of the device is in the Secure Enclave, and does not
// leave it. What an app keeps is the JSON of `Enrolled`. The service has a certificate of your own CA, and App Transport Security
// may take none but the system's: then its host belongs under NSExceptionDomains in Info.plist.

import CryptoKit
import Foundation
import Security

/// What the service says in the place of a certificate. 202: an operator compares the words in the message; ask again later.
public struct EnrollmentRefused: Error { public let status: Int; public let message: String }

public struct EnrollmentFailed: Error { public let why: String }

/// The key of a server: the SHA-256 of its SubjectPublicKeyInfo, or the first 16 octets of that.
public struct Pin: Codable {
    private static let crockford = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    private let octets: Data

    /// The pin of an invite: 128 bits in Crockford's base32.
    init(invite text: String) throws {
        var octets = [UInt8](repeating: 0, count: 16)
        for (place, character) in text.enumerated() {
            guard text.count == 26, let value = Pin.crockford.firstIndex(of: character)
            else { throw EnrollmentFailed(why: "this is no pin") }
            // The last two of 130 bits are nobody's.
            for bit in 0..<5 where place * 5 + bit < 128 && value >> (4 - bit) & 1 == 1 {
                octets[(place * 5 + bit) / 8] |= 0x80 >> UInt8((place * 5 + bit) % 8)
            }
        }
        self.octets = Data(octets)
    }

    /// A pin in base64, as pins.jws has it.
    public init(base64: String) throws {
        guard let octets = Data(base64Encoded: base64), octets.count == 32 else { throw EnrollmentFailed(why: "this is no pin") }
        self.octets = octets
    }

    /// Whether it is of this key. The service's are of P-256, as all of this PKI are.
    func isOf(_ key: SecKey) -> Bool {
        guard let point = SecKeyCopyExternalRepresentation(key, nil) as Data?,
            let known = try? P256.Signing.PublicKey(x963Representation: point)
        else { return false }
        return octets.count >= 16 && Data(SHA256.hash(data: known.derRepresentation)).prefix(octets.count) == octets
    }
}

/// An invite, as its link says it. It is kept nowhere: the secret is good once, for the first key that comes with it.
public struct Invite {
    /// The address of the page: the link without what follows the `#`, which nobody is sent.
    let page: URL
    let id: String
    let secret: String
    let pin: Pin

    public init(link: String) throws {
        let parts = link.components(separatedBy: "#")
        let words = parts.last?.components(separatedBy: ".") ?? []
        guard parts.count == 2, words.count == 2, words[0].count == 26, let page = URL(string: parts[0]), page.scheme == "https",
            page.user == nil, page.pathComponents.count == 3, page.pathComponents[1] == "i"
        else { throw EnrollmentFailed(why: "this code is no invite") }
        self.page = page
        id = page.lastPathComponent
        secret = words[0]
        pin = try Pin(invite: words[1])
    }
}

/// What an app keeps: nothing of it is secret. `est` is where the device renews, `pins` are the keys there. The certificate is DER.
public struct Enrolled: Codable {
    public let est: URL
    /// The service changes its key now and then, and the one of the invite is only the one that it had then: an app puts those here
    /// that pins.jws has for the host of `est`, once PinsVerifier.swift has verified it.
    public var pins: [Pin]
    public let keyName: String
    public let certificate: Data

    /// Whether its certificate is in the last third of its life: before, nobody renews it.
    public func isDue(now: Date = Date()) throws -> Bool {
        let tbs = try elements(elements(elements([UInt8](certificate))[0].content)[0].content)
        // [0] version, serialNumber, signature, issuer, validity (RFC 5280 §4.1).
        let dates = try elements(tbs[4].content).map { try date($0.tag, $0.content) }
        return now >= dates[1].addingTimeInterval(-dates[1].timeIntervalSince(dates[0]) / 3)
    }
}

/// Redeems an invite; `code` are the six digits, where some were told. Where no answer came, the same call asks again with the same key,
/// and gets the same certificate.
public func enroll(_ invite: Invite, code: String? = nil) async throws -> Enrolled {
    struct Addresses: Decodable { let est: URL }
    var request = URLRequest(url: invite.page)
    request.setValue("application/json", forHTTPHeaderField: "Accept")
    let est = try JSONDecoder().decode(Addresses.self, from: await answer(request, .shared)).est
    guard est.scheme == "https" else { throw EnrollmentFailed(why: "the page names no address of https") }
    let password = [invite.secret, code].compactMap { $0 }.joined(separator: ":")
    let basic = "Basic " + Data("\(invite.id):\(password)".utf8).base64EncodedString()
    let name = "pki-\(invite.id)"
    let certificate = try await certified(est.appendingPathComponent("simpleenroll"), [invite.pin], name, nil, basic)
    return Enrolled(est: est, pins: [invite.pin], keyName: name, certificate: certificate)
}

/// Renews a certificate that is due. The key is a new one, which has its name of the old certificate: so that the same call asks again with
/// the same key. An app keeps the answer before it forgets the old one, which stays good until it ends.
public func renew(_ enrolled: Enrolled) async throws -> Enrolled {
    let name = "pki-after-" + SHA256.hash(data: enrolled.certificate).map { String(format: "%02x", $0) }.joined()
    let url = enrolled.est.appendingPathComponent("simplereenroll")
    let certificate = try await certified(url, enrolled.pins, name, identity(enrolled), nil)
    return Enrolled(est: enrolled.est, pins: enrolled.pins, keyName: name, certificate: certificate)
}

/// What the app shows to its own servers: the credential for a challenge of NSURLAuthenticationMethodClientCertificate.
public func identity(_ enrolled: Enrolled) throws -> URLCredential {
    guard let certificate = SecCertificateCreateWithData(nil, enrolled.certificate as CFData)
    else { throw EnrollmentFailed(why: "this is no certificate") }
    let added = SecItemAdd([kSecClass: kSecClassCertificate, kSecValueRef: certificate] as CFDictionary, nil)
    guard added == errSecSuccess || added == errSecDuplicateItem else { throw EnrollmentFailed(why: "the keychain says \(added)") }
    var found: CFTypeRef?
    let query = [kSecClass: kSecClassIdentity, kSecReturnRef: true, kSecMatchLimit: kSecMatchLimitAll] as CFDictionary
    guard SecItemCopyMatching(query, &found) == errSecSuccess else { throw EnrollmentFailed(why: "the certificate has no key here") }
    for identity in found as? [SecIdentity] ?? [] {
        var own: SecCertificate?
        SecIdentityCopyCertificate(identity, &own)
        if let own = own, SecCertificateCopyData(own) as Data == enrolled.certificate {
            return URLCredential(identity: identity, certificates: nil, persistence: .forSession)
        }
    }
    throw EnrollmentFailed(why: "the certificate has no key here")
}

/// A certificate for the key of this name, by EST (RFC 7030 §4.2).
private func certified(_ url: URL, _ pins: [Pin], _ name: String, _ shown: URLCredential?, _ authorization: String?) async throws -> Data {
    let key = try deviceKey(name)
    var request = URLRequest(url: url)
    request.httpMethod = "POST"
    request.setValue("application/pkcs10", forHTTPHeaderField: "Content-Type")
    request.setValue(authorization, forHTTPHeaderField: "Authorization")
    request.httpBody = try certificationRequest(key).base64EncodedData()
    let session = URLSession(configuration: .ephemeral, delegate: Pinned(pins: pins, shown: shown), delegateQueue: nil)
    defer { session.finishTasksAndInvalidate() }
    guard let cms = Data(base64Encoded: try await answer(request, session), options: .ignoreUnknownCharacters)
    else { throw EnrollmentFailed(why: "the answer is no base64") }
    // ContentInfo, SignedData, certificates [0] (RFC 5652 §5.1): one, and nothing else.
    let signed = try elements(elements(elements(elements([UInt8](cms))[0].content).last!.content)[0].content)
    guard let found = signed.first(where: { $0.tag == 0xA0 }) else { throw EnrollmentFailed(why: "the answer has no certificate") }
    let der = Data(try elements(found.content)[0].whole)
    guard let certificate = SecCertificateCreateWithData(nil, der as CFData), let certifiedKey = SecCertificateCopyKey(certificate),
        try publicPoint(certifiedKey) == publicPoint(SecKeyCopyPublicKey(key))
    else { throw EnrollmentFailed(why: "the certificate is for another key") }
    return der
}

private func answer(_ request: URLRequest, _ session: URLSession) async throws -> Data {
    let (body, response) = try await session.data(for: request)
    let status = (response as? HTTPURLResponse)?.statusCode ?? 0
    guard status == 200 else { throw EnrollmentRefused(status: status, message: String(decoding: body, as: UTF8.self)) }
    return body
}

/// Takes a server for the right one by its key alone, before anything is sent, and shows it the certificate where there is one.
private final class Pinned: NSObject, URLSessionTaskDelegate {
    let pins: [Pin]
    let shown: URLCredential?

    init(pins: [Pin], shown: URLCredential?) { (self.pins, self.shown) = (pins, shown) }

    func urlSession(_ session: URLSession, didReceive challenge: URLAuthenticationChallenge,
        completionHandler done: @escaping (URLSession.AuthChallengeDisposition, URLCredential?) -> Void) {
        let space = challenge.protectionSpace
        if space.authenticationMethod == NSURLAuthenticationMethodClientCertificate { return done(.useCredential, shown) }
        guard let trust = space.serverTrust, let chain = SecTrustCopyCertificateChain(trust) as? [SecCertificate],
            let leaf = chain.first, let key = SecCertificateCopyKey(leaf), pins.contains(where: { $0.isOf(key) })
        else { return done(.cancelAuthenticationChallenge, nil) }
        done(.useCredential, URLCredential(trust: trust))
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest, completionHandler done: @escaping (URLRequest?) -> Void) { done(nil) }
}

/// The key of this name in the Secure Enclave; made where there is none yet.
private func deviceKey(_ name: String) throws -> SecKey {
    let tag = Data(name.utf8)
    var found: CFTypeRef?
    let query = [kSecClass: kSecClassKey, kSecAttrApplicationTag: tag, kSecReturnRef: true] as CFDictionary
    if SecItemCopyMatching(query, &found) == errSecSuccess, let found = found { return found as! SecKey }
    let access = SecAccessControlCreateWithFlags(nil, kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly, .privateKeyUsage, nil)!
    let own = [kSecAttrIsPermanent: true, kSecAttrApplicationTag: tag, kSecAttrAccessControl: access] as [CFString: Any]
    let wanted = [kSecAttrKeyType: kSecAttrKeyTypeECSECPrimeRandom, kSecAttrKeySizeInBits: 256,
        kSecAttrTokenID: kSecAttrTokenIDSecureEnclave, kSecPrivateKeyAttrs: own] as [CFString: Any]
    guard let key = SecKeyCreateRandomKey(wanted as CFDictionary, nil) else { throw EnrollmentFailed(why: "no key could be made") }
    return key
}

private func publicPoint(_ key: SecKey?) throws -> Data {
    guard let key = key, let point = SecKeyCopyExternalRepresentation(key, nil) as Data?
    else { throw EnrollmentFailed(why: "no public key") }
    return point
}

/// PKCS#10 (RFC 2986): proof that whoever asks has the key. The name in it is nobody's; the invite says whose the certificate is.
private func certificationRequest(_ key: SecKey) throws -> Data {
    let spki = try P256.Signing.PublicKey(x963Representation: publicPoint(SecKeyCopyPublicKey(key))).derRepresentation
    let name = der(0x30, der(0x31, der(0x30, [6, 3, 0x55, 4, 3] + der(0x0C, Array("device".utf8)))))
    let information = der(0x30, [2, 1, 0] + name + [UInt8](spki) + [0xA0, 0])
    guard let signature = SecKeyCreateSignature(key, .ecdsaSignatureMessageX962SHA256, Data(information) as CFData, nil) as Data?
    else { throw EnrollmentFailed(why: "the key does not sign") }
    let ecdsaWithSHA256 = der(0x30, [6, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 2])
    return Data(der(0x30, information + ecdsaWithSHA256 + der(3, [0] + [UInt8](signature))))
}

/// An element in DER, of less than 64 KiB.
private func der(_ tag: UInt8, _ content: [UInt8]) -> [UInt8] {
    let size = content.count
    let length: [UInt8] = size < 0x80 ? [UInt8(size)] : size < 0x100 ? [0x81, UInt8(size)] : [0x82, UInt8(size >> 8), UInt8(size & 0xFF)]
    return [tag] + length + content
}

/// A date in DER. UTCTime (0x17) has two digits of the year (RFC 5280 §4.1.2.5.1).
private func date(_ tag: UInt8, _ content: [UInt8]) throws -> Date {
    let format = DateFormatter()
    format.locale = Locale(identifier: "en_US_POSIX")
    format.timeZone = TimeZone(secondsFromGMT: 0)
    format.dateFormat = "yyyyMMddHHmmss'Z'"
    guard let date = format.date(from: (tag == 0x17 ? "20" : "") + String(decoding: content, as: UTF8.self))
    else { throw EnrollmentFailed(why: "a date that is none") }
    return date
}

/// The elements of a constructed value in DER: the tag of each, its content, and all of it.
private func elements(_ der: [UInt8]) throws -> [(tag: UInt8, content: [UInt8], whole: [UInt8])] {
    var found: [(tag: UInt8, content: [UInt8], whole: [UInt8])] = []
    var at = 0
    repeat {
        var (length, content) = (at + 1 < der.count ? Int(der[at + 1]) : 0x80, at + 2)
        if length & 0x80 != 0 {
            let octets = length & 0x7F
            guard (1...3).contains(octets), content + octets <= der.count else { throw EnrollmentFailed(why: "no DER") }
            length = der[content..<content + octets].reduce(0) { $0 << 8 | Int($1) }
            content += octets
        }
        guard content + length <= der.count else { throw EnrollmentFailed(why: "no DER") }
        found.append((der[at], Array(der[content..<content + length]), Array(der[at..<content + length])))
        at = content + length
    } while at < der.count
    return found
}
