// Signs requests with a device's own key (RFC 9421, with RFC 9530 for bodies), for servers that verify it: see `pki config requests-node`.
// iOS 15 or later. It has not been run, and no compiler of Apple's has seen it yet: it is RequestSigner.kt, which the project's tests run
// against a server, in Swift.
//
//     let signer = RequestSigner(hosts: ["api.acme.example"], key: key, certificate: certificate)
//     let (data, response) = try await signer.data(for: request, session: URLSession.shared)
//
// `key` is the device's, in the Secure Enclave or not, and `certificate` its certificate in DER. Other hosts than the named ones are told
// nothing of the device. A redirect is not followed: what was signed is for one URL. After a renewal, make another one.

import CryptoKit
import Foundation
import Security

public struct RequestNotSigned: Error { public let why: String }

public final class RequestSigner: NSObject, URLSessionTaskDelegate {
    /// Seconds that a signature lasts.
    private static let life = 60
    /// Seconds that another clock is followed: no further, or what was signed would be good some day.
    private static let farthest: TimeInterval = 86_400
    private let hosts: Set<String>
    private let key: SecKey
    private let keyId: String
    private let lock = NSLock()
    /// For each host, the seconds that its clock is ahead of this one.
    private var ahead: [String: TimeInterval] = [:]

    public init(hosts: Set<String>, key: SecKey, certificate: Data) {
        self.hosts = hosts
        self.key = key
        keyId = RequestSigner.base64url(Data(SHA256.hash(data: certificate)))
    }

    /// Sends a request, signed where it is for one of the hosts. Where the server says that the clock is wrong, by a day at most, it is signed once
    /// more by the server's.
    public func data(for request: URLRequest, session: URLSession) async throws -> (Data, URLResponse) {
        let first = try await session.data(for: signed(request), delegate: self)
        guard let host = request.url?.host?.lowercased(), hosts.contains(host),
            let answer = first.1 as? HTTPURLResponse, answer.statusCode == 401,
            let problem = try? JSONSerialization.jsonObject(with: first.0) as? [String: Any], problem["code"] as? String == "clock",
            let there = answer.value(forHTTPHeaderField: "Date").flatMap(RequestSigner.date),
            abs(there.timeIntervalSinceNow) <= RequestSigner.farthest
        else { return first }
        lock.withLock { ahead[host] = there.timeIntervalSinceNow }
        return try await session.data(for: signed(request), delegate: self)
    }

    /// The request with its signature. Its body must be `httpBody`: its digest stands in the head.
    public func signed(_ request: URLRequest) throws -> URLRequest {
        guard let url = request.url, var address = URLComponents(url: url, resolvingAgainstBaseURL: true), let host = address.host?.lowercased()
        else { throw RequestNotSigned(why: "the request has no address") }
        guard hosts.contains(host) else { return request }
        guard request.httpBodyStream == nil else { throw RequestNotSigned(why: "the body is a stream: give it as httpBody") }
        let scheme = address.scheme?.lowercased()
        let isUsual = address.port == nil || address.port == (scheme == "https" ? 443 : 80)
        address.scheme = scheme
        address.host = host
        address.fragment = nil
        if isUsual { address.port = nil }
        if address.percentEncodedPath.isEmpty { address.percentEncodedPath = "/" }
        guard let target = address.string else { throw RequestNotSigned(why: "the request has no address") }
        let shown = host.contains(":") && !host.hasPrefix("[") ? "[\(host)]" : host
        var parts = [
            ("@method", request.httpMethod ?? "GET"),
            ("@authority", isUsual ? shown : "\(shown):\(address.port ?? 0)"),
            ("@target-uri", target),
        ]
        var signed = request
        signed.url = address.url
        if let body = request.httpBody, !body.isEmpty {
            let digest = "sha-256=:\(Data(SHA256.hash(data: body)).base64EncodedString()):"
            signed.setValue(digest, forHTTPHeaderField: "Content-Digest")
            parts.append(("content-digest", digest))
        }
        if let authorization = request.value(forHTTPHeaderField: "Authorization") {
            parts.append(("authorization", authorization.trimmingCharacters(in: .whitespaces)))
        }
        let created = Int(Date().timeIntervalSince1970 + lock.withLock { ahead[host] ?? 0 })
        var nonce = Data(count: 16)
        let outcome = nonce.withUnsafeMutableBytes { SecRandomCopyBytes(kSecRandomDefault, 16, $0.baseAddress!) }
        guard outcome == errSecSuccess else { throw RequestNotSigned(why: "there is no randomness") }
        let covered = parts.map { "\"\($0.0)\"" }.joined(separator: " ")
        let parameters =
            "(\(covered));created=\(created);expires=\(created + RequestSigner.life);nonce=\"\(RequestSigner.base64url(nonce))\""
            + ";keyid=\"\(keyId)\";alg=\"ecdsa-p256-sha256\";tag=\"pki-v1\""
        // The signature base (RFC 9421 §2.5).
        let base = (parts + [("@signature-params", parameters)]).map { "\"\($0.0)\": \($0.1)" }.joined(separator: "\n")
        var error: Unmanaged<CFError>?
        guard let der = SecKeyCreateSignature(key, .ecdsaSignatureMessageX962SHA256, Data(base.utf8) as CFData, &error) as Data?
        else { throw error?.takeRetainedValue() ?? RequestNotSigned(why: "the key does not sign") as Error }
        // r and s, 32 octets each.
        let signature = try P256.Signing.ECDSASignature(derRepresentation: der).rawRepresentation
        signed.setValue("pki=\(parameters)", forHTTPHeaderField: "Signature-Input")
        signed.setValue("pki=:\(signature.base64EncodedString()):", forHTTPHeaderField: "Signature")
        return signed
    }

    public func urlSession(
        _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse, newRequest request: URLRequest
    ) async -> URLRequest? { nil }

    private static func base64url(_ octets: Data) -> String {
        octets.base64EncodedString().replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
            .replacingOccurrences(of: "=", with: "")
    }

    /// A date as HTTP has it (RFC 9110 §5.6.7).
    private static func date(_ text: String) -> Date? {
        let format = DateFormatter()
        format.locale = Locale(identifier: "en_US_POSIX")
        format.timeZone = TimeZone(secondsFromGMT: 0)
        format.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        return format.date(from: text)
    }
}
