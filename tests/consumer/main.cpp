// A user's program: two processes, one question, one answer. Expected output: "consumer: 42".
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <sluice/ipc/connect/endpoint.hpp>
#include <sluice/ipc/port/message_port.hpp>
#include <span>
#include <string>

namespace {

int answer(const std::string& channel) {
  sluice::Port port = sluice::connect(channel);
  const sluice::Message question = port.receive();
  if (!question || question.bytes().size() != 1) return 1;
  const std::byte doubled{static_cast<unsigned char>(2 * std::to_integer<unsigned>(question.bytes()[0]))};
  return port.post_message(std::span(&doubled, 1)) == sluice::Status::ok ? 0 : 1;
}

int ask(const std::string& channel) {
  sluice::Listener listener = sluice::listen(channel);
  sluice::Port port = listener.accept();
  const std::byte question{21};
  if (port.post_message(std::span(&question, 1)) != sluice::Status::ok) return 1;
  const sluice::Message reply = port.receive();
  if (!reply || reply.bytes().size() != 1) return 1;
  std::printf("consumer: %u\n", std::to_integer<unsigned>(reply.bytes()[0]));
  return 0;
}

}  // namespace

int main() {
  try {
    const std::string channel = "consumer-" + std::to_string(::getpid());
    const pid_t child = ::fork();
    if (child < 0) return 1;
    if (child == 0) ::_exit(answer(channel));
    const int code = ask(channel);
    int status = 0;
    ::waitpid(child, &status, 0);
    return code == 0 && status == 0 ? 0 : 1;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "consumer: %s\n", failure.what());
    return 1;
  }
}
