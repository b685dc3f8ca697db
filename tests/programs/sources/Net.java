import com.sun.net.httpserver.HttpServer;
import java.io.DataInputStream;
import java.io.IOException;
import java.net.*;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.channels.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executors;

/**
 * The socket classes of a JVM, as server and as client.
 *
 *   Net serve PLAIN NIO UDP HTTP UNIXPATH
 *   Net talk  PLAIN NIO UDP HTTP UNIXPATH
 *   Net get   URL
 *   Net plain HOST PORT
 */
public class Net {
    static final InetAddress LOOPBACK = InetAddress.getLoopbackAddress();

    public static void main(String[] arguments) throws Exception {
        String[] rest = Arrays.copyOfRange(arguments, 1, arguments.length);
        try {
            switch (arguments[0]) {
                case "serve" -> serve(rest);
                case "talk" -> talk(rest);
                case "get" -> System.out.println(get(URI.create(rest[0])));
                case "plain" -> plain(rest[0], Integer.parseInt(rest[1]));
                default -> throw new IllegalArgumentException(arguments[0]);
            }
        } catch (IOException failed) {
            for (Throwable cause = failed; cause != null; cause = cause.getCause()) {
                System.err.println(cause);
            }
            System.exit(1);
        }
        System.exit(0);
    }

    // ---- server

    static void serve(String[] where) throws Exception {
        ServerSocket plain = new ServerSocket(Integer.parseInt(where[0]), 10, LOOPBACK);
        ServerSocketChannel nio = ServerSocketChannel.open();
        nio.bind(new InetSocketAddress(LOOPBACK, Integer.parseInt(where[1])));
        DatagramSocket udp = new DatagramSocket(Integer.parseInt(where[2]), LOOPBACK);
        HttpServer http = HttpServer.create(new InetSocketAddress(LOOPBACK, Integer.parseInt(where[3])), 10);
        ServerSocketChannel unix = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        unix.bind(UnixDomainSocketAddress.of(Path.of(where[4])));

        http.createContext("/", exchange -> {
            byte[] body = ("asked for " + exchange.getRequestURI()).getBytes();
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        http.setExecutor(Executors.newCachedThreadPool());
        http.start();
        thread(() -> echoPlain(plain));
        thread(() -> echoUdp(udp));
        thread(() -> echoChannels(List.of(nio, unix)));
        Thread.currentThread().join(); // until SIGTERM
    }

    interface Work {
        void run() throws IOException;
    }

    static void thread(Work work) {
        Thread thread = new Thread(() -> {
            try {
                work.run();
            } catch (IOException failed) {
                failed.printStackTrace();
            }
        });
        thread.setDaemon(true);
        thread.start();
    }

    static void echoPlain(ServerSocket server) throws IOException {
        while (true) {
            Socket accepted = server.accept();
            thread(() -> {
                try (accepted) {
                    accepted.getInputStream().transferTo(accepted.getOutputStream());
                }
            });
        }
    }

    static void echoUdp(DatagramSocket socket) throws IOException {
        DatagramPacket packet = new DatagramPacket(new byte[2000], 2000);
        while (true) {
            packet.setLength(2000);
            socket.receive(packet);
            socket.send(packet);
        }
    }

    static void echoChannels(List<ServerSocketChannel> servers) throws IOException {
        Selector selector = Selector.open();
        for (ServerSocketChannel server : servers) {
            server.configureBlocking(false);
            server.register(selector, SelectionKey.OP_ACCEPT);
        }
        ByteBuffer buffer = ByteBuffer.allocateDirect(16384);
        while (true) {
            selector.select();
            var keys = selector.selectedKeys().iterator();
            while (keys.hasNext()) {
                SelectionKey key = keys.next();
                keys.remove();
                if (key.isAcceptable()) {
                    SocketChannel accepted = ((ServerSocketChannel) key.channel()).accept();
                    if (accepted != null) {
                        accepted.configureBlocking(false);
                        accepted.register(selector, SelectionKey.OP_READ);
                    }
                } else {
                    SocketChannel channel = (SocketChannel) key.channel();
                    buffer.clear();
                    if (channel.read(buffer) < 0) {
                        channel.close();
                        continue;
                    }
                    buffer.flip();
                    while (buffer.hasRemaining()) {
                        channel.write(buffer);
                    }
                }
            }
        }
    }

    // ---- client

    static void talk(String[] where) throws Exception {
        plain("127.0.0.1", Integer.parseInt(where[0]));
        channel(StandardProtocolFamily.INET, new InetSocketAddress(LOOPBACK, Integer.parseInt(where[1])));
        selected(new InetSocketAddress(LOOPBACK, Integer.parseInt(where[1])));
        channel(StandardProtocolFamily.UNIX, UnixDomainSocketAddress.of(Path.of(where[4])));
        udp(Integer.parseInt(where[2]));
        URI http = URI.create("http://127.0.0.1:" + where[3]);
        System.out.println(get(http.resolve("/one")));
        many(http);
    }

    static byte[] pattern(int size) {
        byte[] bytes = new byte[size];
        for (int i = 0; i < size; i++) {
            bytes[i] = (byte) (i * 13);
        }
        return bytes;
    }

    static void plain(String host, int port) throws IOException {
        byte[] sent = pattern(50_000);
        byte[] received = new byte[sent.length];
        try (Socket socket = new Socket()) {
            socket.setTcpNoDelay(true);
            socket.setSoTimeout(20_000);
            socket.connect(new InetSocketAddress(host, port), 20_000);
            thread(() -> {
                socket.getOutputStream().write(sent);
                socket.shutdownOutput();
            });
            new DataInputStream(socket.getInputStream()).readFully(received);
            System.out.println("Socket: " + Arrays.equals(sent, received) + ", then " + socket.getInputStream().read());
            System.out.println("peer " + socket.getInetAddress() + " the one asked: " + (socket.getPort() == port));
        }
    }

    static void channel(ProtocolFamily family, SocketAddress address) throws IOException {
        ByteBuffer received = ByteBuffer.allocate(5);
        try (SocketChannel channel = SocketChannel.open(family)) {
            channel.connect(address);
            channel.write(new ByteBuffer[] {ByteBuffer.wrap("he".getBytes()), ByteBuffer.wrap("llo".getBytes())});
            while (received.hasRemaining() && channel.read(received) >= 0) { }
            System.out.println("SocketChannel " + family + ": " + new String(received.array(), 0, received.position()));
        }
    }

    static void selected(SocketAddress address) throws IOException {
        try (Selector selector = Selector.open(); SocketChannel channel = SocketChannel.open()) {
            channel.configureBlocking(false);
            boolean at_once = channel.connect(address);
            if (!at_once) {
                channel.register(selector, SelectionKey.OP_CONNECT);
                selector.select(20_000);
                channel.finishConnect();
            }
            channel.register(selector, SelectionKey.OP_READ);
            channel.write(ByteBuffer.wrap("selected".getBytes()));
            ByteBuffer received = ByteBuffer.allocate(8);
            while (received.hasRemaining() && selector.select(20_000) > 0) {
                selector.selectedKeys().clear();
                channel.read(received);
            }
            System.out.println("Selector: " + new String(received.array(), 0, received.position()));
        }
    }

    static void udp(int port) throws IOException {
        try (DatagramSocket socket = new DatagramSocket(); DatagramChannel channel = DatagramChannel.open()) {
            socket.setSoTimeout(20_000);
            socket.send(new DatagramPacket("datagram".getBytes(), 8, LOOPBACK, port));
            DatagramPacket packet = new DatagramPacket(new byte[100], 100);
            socket.receive(packet);
            System.out.println("DatagramSocket: " + new String(packet.getData(), 0, packet.getLength())
                + " from the one asked: " + (packet.getPort() == port));
            channel.connect(new InetSocketAddress(LOOPBACK, port));
            channel.write(ByteBuffer.wrap("connected".getBytes()));
            ByteBuffer received = ByteBuffer.allocate(100);
            channel.read(received);
            System.out.println("DatagramChannel: " + new String(received.array(), 0, received.position()));
        }
    }

    static final HttpClient CLIENT = HttpClient.newBuilder()
        .version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(20)).build();

    static HttpRequest request(URI uri) {
        return HttpRequest.newBuilder(uri).timeout(Duration.ofSeconds(20)).build();
    }

    static String get(URI uri) throws IOException, InterruptedException {
        HttpResponse<String> answer = CLIENT.send(request(uri), HttpResponse.BodyHandlers.ofString());
        return "HttpClient: " + answer.statusCode() + " " + answer.body();
    }

    static void many(URI http) {
        List<CompletableFuture<String>> answers = new ArrayList<>();
        for (int i = 0; i < 8; i++) {
            answers.add(CLIENT.sendAsync(request(http.resolve("/" + i)),
                HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8)).thenApply(HttpResponse::body));
        }
        answers.forEach(answer -> System.out.println("async: " + answer.join()));
    }
}
