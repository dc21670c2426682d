// A sender that knows OpenIGTLink from its own library: grey pictures of a rising level, a transform
// between each two, to the first who connects.
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <igtlImageMessage.h>
#include <igtlOSUtil.h>
#include <igtlServerSocket.h>
#include <igtlTransformMessage.h>
#include <iostream>

int main(int argc, char **argv) {
  igtl::ServerSocket::Pointer server = igtl::ServerSocket::New();
  if (argc != 4 || server->CreateServer(std::atoi(argv[1])) < 0) return 1;
  const int pictures = std::atoi(argv[2]), pause_ms = std::atoi(argv[3]);
  std::cout << "ready" << std::endl;
  igtl::Socket::Pointer client;
  while (client.IsNull()) client = server->WaitForConnection(1000);
  for (int k = 0; k < pictures; ++k) {
    igtl::TransformMessage::Pointer moved = igtl::TransformMessage::New();
    moved->SetDeviceName("Probe");
    moved->Pack();
    client->Send(moved->GetPackPointer(), moved->GetPackSize());
    igtl::ImageMessage::Pointer image = igtl::ImageMessage::New();
    int size[] = {320, 240, 1}, offset[] = {0, 0, 0};
    float spacing[] = {0.25f, 0.25f, 1.0f};
    image->SetDimensions(size);
    image->SetSubVolume(size, offset);
    image->SetSpacing(spacing);
    image->SetScalarType(igtl::ImageMessage::TYPE_UINT8);
    image->SetDeviceName("Image_Reference");
    image->AllocateScalars();
    std::memset(image->GetScalarPointer(), k + 1, image->GetImageSize());
    igtl::TimeStamp::Pointer now = igtl::TimeStamp::New();
    now->GetTime();
    image->SetTimeStamp(now);
    image->Pack();
    if (!client->Send(image->GetPackPointer(), image->GetPackSize())) break;
    igtl::Sleep(pause_ms);
  }
  client->CloseSocket();
  return 0;
}
