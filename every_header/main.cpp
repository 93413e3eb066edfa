int ascending();
int descending();

int main() { return ascending() + descending(); }
