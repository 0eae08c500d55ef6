import java.net.URI;
import java.net.http.*;
import java.nio.file.Path;

/** Posts a file as Java's own client does: with an offer to upgrade to HTTP/2. */
class Ask {
    public static void main(String[] arguments) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(arguments[0]))
            .POST(HttpRequest.BodyPublishers.ofFile(Path.of(arguments[1])))
            .build();
        var client = HttpClient.newHttpClient();
        for (int turn = 0; turn < 2; turn++) {
            var response = client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(response.statusCode() + " " + response.body());
        }
    }
}
