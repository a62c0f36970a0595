import time
def test_a(project):
    t=[time.perf_counter(), time.process_time()]
    def lap(name):
        n=[time.perf_counter(), time.process_time()]
        print(f"{name:30} wall {n[0]-t[0]:.2f} cpu {n[1]-t[1]:.2f}")
        t[:]=n
    f=project.folder
    project.succeed("validate"); lap("validate")
    project.set("output_folder", str(f/"typ")); project.succeed("typicality"); lap("typ")
    project.set("output_folder", str(f/"mft")); project.succeed("meta_tune"); lap("mft")
    project.set("output_folder", str(f/"ft")); project.succeed("finetune", "train.domains=union"); lap("ft union")
    project.succeed("evaluate"); lap("eval")
    project.succeed("predict"); lap("predict")
    project.set("output_folder", str(f/"mft3")); project.succeed("meta_tune", dry_run=True); lap("mft dry")
    import cProfile, pstats
    with cProfile.Profile() as p:
        project.set("output_folder", str(f/"mft2")); project.succeed("meta_tune"); lap("mft")
    pstats.Stats(p).sort_stats("cumulative").print_stats(60)
    assert 0
