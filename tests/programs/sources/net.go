// Go's own network code: `net serve HTTP TCP UDP UNIXPATH` and `net talk HTTP TCP UDP UNIXPATH CLOSED`; `net get URL`.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

var big = bytes.Repeat([]byte("0123456789abcdef"), 30000)

func must(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

func echo(listener net.Listener) {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer connection.Close()
			io.Copy(connection, connection)
		}()
	}
}

func serve(web, tcp, udp, path string) {
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	packets, err := net.ListenPacket("udp", "127.0.0.1:"+udp)
	must(err)
	go func() {
		buffer := make([]byte, 65536)
		for {
			size, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			packets.WriteTo(buffer[:size], from)
		}
	}()
	stream, err := net.Listen("tcp", "127.0.0.1:"+tcp)
	must(err)
	go echo(stream)
	unix, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	must(err)
	go passBack(unix)
	http.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	http.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		fmt.Fprint(w, r.Method, " from ", host)
	})
	server := &http.Server{Addr: "127.0.0.1:" + web}
	go server.ListenAndServe()
	<-end
	must(server.Shutdown(context.Background()))
}

// passBack reads the file that it is passed and passes a pipe with what was in it.
func passBack(listener *net.UnixListener) {
	for {
		connection, err := listener.AcceptUnix()
		if err != nil {
			return
		}
		file := receive(connection)
		content, err := io.ReadAll(file)
		must(err)
		reader, writer, err := os.Pipe()
		must(err)
		writer.Write([]byte(strings.ToUpper(string(content))))
		writer.Close()
		send(connection, reader)
		reader.Close()
		file.Close()
		connection.Close()
	}
}

func receive(connection *net.UnixConn) *os.File {
	data, control := make([]byte, 10), make([]byte, syscall.CmsgSpace(4))
	_, size, _, _, err := connection.ReadMsgUnix(data, control)
	must(err)
	messages, err := syscall.ParseSocketControlMessage(control[:size])
	must(err)
	files, err := syscall.ParseUnixRights(&messages[0])
	must(err)
	return os.NewFile(uintptr(files[0]), "passed")
}

func send(connection *net.UnixConn, file *os.File) {
	_, _, err := connection.WriteMsgUnix([]byte("here"), syscall.UnixRights(int(file.Fd())), nil)
	must(err)
}

func exchange(network, address string, data []byte) bool {
	connection, err := net.Dial(network, address)
	must(err)
	defer connection.Close()
	go func() {
		connection.Write(data)
		connection.(*net.TCPConn).CloseWrite()
	}()
	back, err := io.ReadAll(connection)
	must(err)
	return bytes.Equal(back, data)
}

func talk(web, tcp, udp, path, closed string) {
	fmt.Println("tcp", exchange("tcp", "127.0.0.1:"+tcp, big), exchange("tcp", "localhost:"+tcp, []byte("by name")))

	answer, err := http.Get("http://127.0.0.1:" + web + "/who")
	must(err)
	body, _ := io.ReadAll(answer.Body)
	fmt.Println("http", answer.StatusCode, string(body))

	var group sync.WaitGroup
	var lock sync.Mutex
	equal := 0
	for number := 0; number < 40; number++ {
		group.Add(1)
		go func() {
			defer group.Done()
			answer, err := http.Post("http://127.0.0.1:"+web+"/echo", "text/plain", bytes.NewReader(big))
			must(err)
			body, err := io.ReadAll(answer.Body)
			must(err)
			answer.Body.Close()
			lock.Lock()
			defer lock.Unlock()
			if bytes.Equal(body, big) {
				equal++
			}
		}()
	}
	group.Wait()
	fmt.Println("together", equal)

	for _, to := range []string{udp, closed} {
		packets, err := net.Dial("udp", "127.0.0.1:"+to)
		must(err)
		packets.SetDeadline(time.Now().Add(5 * time.Second))
		packets.Write([]byte("datagram"))
		buffer := make([]byte, 100)
		size, err := packets.Read(buffer)
		fmt.Println("udp", string(buffer[:size]), err != nil && strings.Contains(err.Error(), "refused"))
	}

	file, err := os.CreateTemp("", "")
	must(err)
	file.WriteString("through a passed file")
	file.Seek(0, 0)
	unix, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	must(err)
	send(unix, file)
	content, err := io.ReadAll(receive(unix))
	must(err)
	fmt.Println("unix", string(content))

	_, err = net.Dial("tcp", "127.0.0.1:"+closed)
	fmt.Println(err)
	silent, err := net.Dial("tcp", "127.0.0.1:"+tcp)
	must(err)
	silent.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	_, err = silent.Read(make([]byte, 1))
	fmt.Println("timeout", err.(net.Error).Timeout())
}

func get(url string) {
	answer, err := http.Get(url)
	must(err)
	body, err := io.ReadAll(answer.Body)
	must(err)
	fmt.Println(answer.StatusCode, string(body))
}

func main() {
	if os.Args[1] == "get" {
		get(os.Args[2])
	} else if os.Args[1] == "serve" {
		serve(os.Args[2], os.Args[3], os.Args[4], os.Args[5])
	} else {
		talk(os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6])
	}
}
