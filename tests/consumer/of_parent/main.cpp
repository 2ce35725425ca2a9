// Exits with 0 if the parent works.
bool parent_works();

int main() {
  return parent_works() ? 0 : 1;
}
