// A path of certificates as Java judges it (PKIX) when it asks a responder for its first one: "valid", or the reason why not.
// Arguments: the responder's URL, the root, and the path from the end entity on, PEM.

import java.io.FileInputStream;
import java.net.URI;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertificateFactory;
import java.security.cert.PKIXParameters;
import java.security.cert.PKIXRevocationChecker;
import java.security.cert.PKIXRevocationChecker.Option;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

public class Status {
    public static void main(String[] arguments) throws Exception {
        var factory = CertificateFactory.getInstance("X.509");
        var path = new ArrayList<X509Certificate>();
        for (String file : List.of(arguments).subList(1, arguments.length))
            try (var stream = new FileInputStream(file)) {
                path.add((X509Certificate) factory.generateCertificate(stream));
            }
        var root = path.remove(0);

        var validator = CertPathValidator.getInstance("PKIX");
        var checker = (PKIXRevocationChecker) validator.getRevocationChecker();
        checker.setOcspResponder(URI.create(arguments[0]));
        checker.setOptions(EnumSet.of(Option.ONLY_END_ENTITY, Option.NO_FALLBACK));
        var parameters = new PKIXParameters(Set.of(new TrustAnchor(root, null)));
        parameters.addCertPathChecker(checker);
        try {
            validator.validate(factory.generateCertPath(path), parameters);
            System.out.println("valid");
        } catch (CertPathValidatorException refused) {
            System.out.println(refused.getReason() + ": " + refused.getMessage());
        }
    }
}
