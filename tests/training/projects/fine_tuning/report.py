def show(history):
    for name, values in sorted(history.history.items()):
        print(name, " ".join(f"{v:.6f}" for v in values))
    print(history.epoch)
