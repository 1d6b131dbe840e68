// EST (RFC 7030) by Bouncy Castle's client. Arguments: host:port, the root as PEM, and a file of PKCS#12 that is the device's.
// With the name and secret of an invite on stdin, a colon between them, it enrolls: it prints what the service says that it may
// trust and wants, and makes the file. With nothing there it renews the file's certificate, for the same key.

import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.security.GeneralSecurityException;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.Security;
import java.security.cert.CertPathValidator;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.util.List;
import java.util.Set;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.X509TrustManager;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.est.EnrollmentResponse;
import org.bouncycastle.est.jcajce.JcaHttpAuthBuilder;
import org.bouncycastle.est.jcajce.JsseESTServiceBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.pkcs.PKCS10CertificationRequest;
import org.bouncycastle.pkcs.jcajce.JcaPKCS10CertificationRequestBuilder;

public class Enroll {
    static final char[] NO_PASSWORD = {};

    public static void main(String[] arguments) throws Exception {
        Security.addProvider(new BouncyCastleProvider());
        X509Certificate root;
        try (var stream = new FileInputStream(arguments[1])) {
            root = (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(stream);
        }
        var builder = new JsseESTServiceBuilder(arguments[0], trustIn(root)).withTimeout(30_000);
        var invite = new String(System.in.readAllBytes()).trim().split(":");
        var file = arguments[2];
        if (invite.length == 2) {
            var service = builder.build();
            for (var ca : service.getCACerts().getCertificateStore().getMatches(null))
                System.out.println("CA " + ca.getSubject());
            for (var wanted : service.getCSRAttributes().getAttributesResponse().getRequirements())
                System.out.println("wanted " + wanted);
            var generator = KeyPairGenerator.getInstance("EC");
            generator.initialize(new ECGenParameterSpec("secp256r1"));
            var keys = generator.generateKeyPair();
            var credentials = new JcaHttpAuthBuilder(invite[0], invite[1].toCharArray()).setProvider("BC").build();
            var request = request(keys.getPublic(), keys.getPrivate());
            keep(file, keys.getPrivate(), service.simpleEnroll(false, request, credentials));
        } else {
            var store = KeyStore.getInstance("PKCS12");
            try (var stream = new FileInputStream(file)) {
                store.load(stream, NO_PASSWORD);
            }
            var managers = KeyManagerFactory.getInstance("PKIX");
            managers.init(store, NO_PASSWORD);
            var service = builder.withKeyManagers(managers.getKeyManagers()).build();
            var key = (PrivateKey) store.getKey("device", NO_PASSWORD);
            var request = request(store.getCertificate("device").getPublicKey(), key);
            keep(file, key, service.simpleEnroll(true, request, null));
        }
    }

    /** Trusts whom the root has certified, at whatever time: the clock of the service may be another than ours. */
    static X509TrustManager trustIn(X509Certificate root) {
        return new X509TrustManager() {
            public void checkServerTrusted(X509Certificate[] chain, String type) throws CertificateException {
                try {
                    var parameters = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
                    parameters.setRevocationEnabled(false);
                    parameters.setDate(chain[0].getNotBefore());
                    var path = CertificateFactory.getInstance("X.509").generateCertPath(List.of(chain));
                    CertPathValidator.getInstance("PKIX").validate(path, parameters);
                } catch (GeneralSecurityException refused) {
                    throw new CertificateException(refused);
                }
            }

            public void checkClientTrusted(X509Certificate[] chain, String type) throws CertificateException {
                throw new CertificateException("this is no server");
            }

            public X509Certificate[] getAcceptedIssuers() {
                return new X509Certificate[] { root };
            }
        };
    }

    static PKCS10CertificationRequest request(PublicKey key, PrivateKey signer) throws Exception {
        var builder = new JcaPKCS10CertificationRequestBuilder(new X500Name("CN=phone"), key);
        return builder.build(new JcaContentSignerBuilder("SHA256withECDSA").build(signer));
    }

    static void keep(String file, PrivateKey key, EnrollmentResponse answer) throws Exception {
        var holder = answer.getStore().getMatches(null).iterator().next();
        var certificate = new JcaX509CertificateConverter().getCertificate(holder);
        var store = KeyStore.getInstance("PKCS12");
        store.load(null, NO_PASSWORD);
        store.setKeyEntry("device", key, NO_PASSWORD, new X509Certificate[] { certificate });
        try (var stream = new FileOutputStream(file)) {
            store.store(stream, NO_PASSWORD);
        }
        System.out.printf("certificate %032X%n", certificate.getSerialNumber());
    }
}
